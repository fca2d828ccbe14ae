"""CIFAR ResNets: size and names of the published ones, weights loaded from files, and their way to integers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from patterns import patterns
from torch import nn

from spikeloom.quant import golden
from spikeloom.quant.conversion.integers import convert
from spikeloom.quant.data import Dataset
from spikeloom.quant.frontends.layers import Shortcut, Sum, Weights
from spikeloom.quant.frontends.torch_fx.graph import trace
from spikeloom.quant.ir import netfile
from spikeloom.quant.ir.ops import IF, Add, Conv2d, Gain, Linear
from spikeloom.quant.methods.qcfs.algorithm import prepare
from spikeloom.quant.models import build, load_weights, resnet
from spikeloom.quant.qat.weight_rounding import round_weights
from spikeloom.quant.recipe import Epochs, QcfsRecipe, Rates, RecipeError, Start, filled, read
from spikeloom.quant.training.augment import erased, mirrored
from spikeloom.quant.training.rates import one_cycle
from spikeloom.quant.training.train import train

ROOT = Path(__file__).parents[2]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85)])
def test_sizes_are_those_of_the_paper(depth: int, millions: float) -> None:
    """He et al. 2016, table 6."""
    with torch.device("meta"):
        model = resnet((3, 32, 32), 10, depth=depth)
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == millions
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == depth and model(torch.zeros(2, 3, 32, 32, device="meta")).shape == (2, 10)


def test_names_are_those_of_published_weights() -> None:
    names = list(resnet((3, 32, 32), 10).state_dict())
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    blocks = [f"layer{s}.{b}.{part}" for s in (1, 2, 3) for b in range(3) for part in ("conv1", "bn1", "conv2", "bn2")]
    want = [f"{p}.{k}" for p in ("conv1", "bn1", *blocks) for k in (norm if "bn" in p else ("weight",))]
    assert names == [*want, "linear.weight", "linear.bias"]
    more = set(resnet((3, 32, 32), 10, shortcut="projection").state_dict()) - set(names)
    assert more == {f"layer{s}.0.shortcut.{k}" for s in (2, 3) for k in ("0.weight", *(f"1.{n}" for n in norm))}


@pytest.mark.parametrize("depth", [2, 18, 21])
def test_other_depths_and_shortcuts_are_refused(depth: int) -> None:
    with pytest.raises(ValueError, match=rf"depth must be 6n \+ 2 .*, not {depth}"):
        resnet((3, 32, 32), 10, depth=depth)
    with pytest.raises(ValueError, match=r"shortcut must be 'zeros', 'projection' or 'convolution', not 'none'"):
        build("resnet", (3, 32, 32), 10, shortcut="none")


def test_the_traced_graph_has_every_block() -> None:
    for shortcut, zeros, weights in (("zeros", 9, 20), ("projection", 7, 22)):
        layers = trace(resnet((3, 32, 32), 10, shortcut=shortcut), (3, 32, 32))
        kinds = [type(layer) for layer in layers]
        assert (kinds.count(Sum), kinds.count(Shortcut), kinds.count(Weights)) == (9, zeros, weights)


def published(path: Path, model: nn.Module) -> None:
    """A file as published ones are: every name begins with "module.", and figures lie beside the weights."""
    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}, "best_prec1": 91.7}, path)


def test_loaded_weights_take_plain_pixels(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, loaded = (resnet((3, 8, 8), 10, depth=8, width=4).eval() for _ in range(2))
    model.bn1.running_mean = torch.randn(4)
    published(tmp_path / "w.th", model)
    x = torch.rand(5, 3, 8, 8)
    load_weights(loaded, tmp_path / "w.th")
    assert torch.equal(loaded(x), model(x))
    load_weights(loaded, tmp_path / "w.th", mean=MEAN, std=STD)
    real = (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    got, want = loaded.bn1(loaded.conv1(x)), model.bn1(model.conv1(real))
    assert torch.allclose(got[..., 1:-1, 1:-1], want[..., 1:-1, 1:-1], atol=1e-5) and not torch.allclose(
        got, want, atol=1e-2
    )
    plain = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten())
    torch.save(plain.state_dict(), tmp_path / "p.pth")
    want = plain(real)
    load_weights(plain, tmp_path / "p.pth", mean=MEAN, std=STD)
    assert torch.allclose(plain(x), want, atol=1e-5)


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    model = resnet((3, 8, 8), 10, depth=8, width=4)
    path = tmp_path / "w.th"
    with pytest.raises(ValueError, match=r"w\.th: no such file"):
        load_weights(model, path)
    path.write_text("not weights")
    with pytest.raises(ValueError, match=r"w\.th: not a file of PyTorch weights"):
        load_weights(model, path)
    published(path, resnet((3, 8, 8), 10, depth=8, width=8))
    with pytest.raises(ValueError, match=r"w\.th: does not fit the model .*size mismatch"):
        load_weights(model, path)
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match=r"w\.th: does not fit the model .*Missing key"):
        load_weights(model, path)
    published(path, model)
    with pytest.raises(
        ValueError, match=r"w\.th: mean and std must have a value, std a positive one, for every channel"
    ):
        load_weights(model, path, mean=MEAN, std=(1.0, 0.0, 1.0))
    recipe = replace(SHORT, start=Start(file=str(tmp_path / "none.th")))
    with pytest.raises(RecipeError, match=r"Recipe: start: .*none\.th: no such file"):
        train(recipe)


def test_rounded_weights_are_the_integers_of_the_conversion() -> None:
    """With one scale a channel, batch norm changes the scale and not the integers: those of training are converted."""
    torch.manual_seed(0)
    model: Any = prepare(resnet((2, 8, 8), 5, depth=8, width=4, shortcut="projection"), 4, threshold=1.0).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)[::2] *= -1
    before = {name: layer.weight.detach().clone() for name, layer in model.named_modules() if hasattr(layer, "stride")}
    round_weights(model, weight_bits=4, first_bits=8, last_bits=3)
    network = convert(model, shape=(2, 8, 8), input_high=15, steps=4, weight_bits=4, first_bits=8, last_bits=3)
    tops = {"conv1": 127}
    for node in network:
        if isinstance(node, Conv2d) and ".shortcut." not in node.name:
            w = before[node.name]
            norm = model.get_submodule(node.name.replace("conv", "bn"))
            scale = w.abs().flatten(1).amax(1) / tops.get(node.name, 7) * norm.weight.detach().sign()
            assert np.array_equal(node.weight, (w / scale.view(-1, 1, 1, 1)).round().numpy()), node.name
    (last,) = [n for n in network if isinstance(n, Linear)]
    w = model.get_submodule("linear").parametrizations.weight.original.detach()
    assert np.array_equal(last.weight, (w / (w.abs().max() / 3)).round().numpy()) and last.weight_bits == 3
    w = model.get_submodule("conv1").parametrizations.weight.original
    model.get_submodule("conv1").weight.sum().backward()
    assert w.grad is not None and torch.equal(w.grad, torch.ones_like(w)), "the gradient passes the rounding"


SHORT = QcfsRecipe(
    data="digits",
    model="resnet",
    model_args={"depth": 8, "width": 4},
    steps=4,
    weight_bits=4,
    batch=100,
    flip=True,
    bf16=True,
    rounded=True,
    optimiser="sgd",
    warm_up=0.25,
    rates=Rates(float=0.1, qcfs=0.1, integers=0.001),
    epochs=Epochs(float=3, qcfs=3, integers=1),
    rule="lossless",
)


def test_a_residual_network_trains_to_integers(tmp_path: Path) -> None:
    """From a file of weights, with everything that recipes can ask for; the last phase is the network it trains for."""
    data = patterns()
    torch.manual_seed(0)
    published(tmp_path / "w.th", resnet(data.shape, 10, depth=8, width=4))
    recipe = replace(SHORT, start=Start(file=str(tmp_path / "w.th"), mean=[0.3], std=[0.5]))
    trained = train(recipe, data=data)
    found = trained.report.accuracy
    assert found["fake-quantised"] == found["lossless"] > 0.9 and found["qcfs"] > 0.9
    with golden.exact_math():
        logits = trained.model(torch.from_numpy(data.test_x)).numpy()
    assert np.array_equal(logits.argmax(1), golden.run(trained.network, data.test_x).classes)
    assert {type(n) for n in trained.network} >= {Add, Gain, IF}
    assert json.loads(trained.network.meta["recipe"])["start"]["mean"] == [0.3]
    plain = train(replace(recipe, flip=False, epochs=Epochs(float=1, qcfs=0, integers=0)))
    other = train(replace(recipe, epochs=Epochs(float=1, qcfs=0, integers=0)))
    assert plain.network.hash != other.network.hash


def test_half_of_the_images_are_mirrored() -> None:
    x = torch.arange(2.0 * 1 * 3 * 4 * 500).view(1000, 1, 2, 6)
    torch.manual_seed(0)
    got = mirrored(x)
    turned = (got == x.flip(3)).flatten(1).all(1)
    assert ((got == x).flatten(1).all(1) ^ turned).all() and 400 < turned.sum() < 600


def test_a_square_is_erased_from_every_image() -> None:
    x = 3 * torch.arange(2.0 * 3 * 5 * 6).view(2, 3, 5, 6) + 1000
    got = erased(x, 3, torch.tensor([[0, 3], [5, 3]]))  # over a corner, inside
    gone = torch.zeros(2, 5, 6, dtype=torch.bool)
    gone[0, :2, 4:], gone[1, 2:5, 2:5] = True, True
    assert torch.equal(got != x, gone[:, None].expand(2, 3, 5, 6))
    assert all((got[n, c][gone[n]] == x[n, c].mean().round()).all() for n in range(2) for c in range(3))
    assert torch.equal(erased(x, 0), x)
    torch.manual_seed(0)
    flat = torch.zeros(500, 1, 5, 6)
    flat[:, :, 0, 0] = 300.0  # a mean of 10
    holes = (erased(flat, 2) == 10).squeeze(1)
    assert holes.any(0).all(), "everywhere"
    assert len({tuple(hole.flatten().tolist()) for hole in holes}) == 30, "each image its own"


def test_erased_images_are_those_it_trains_with() -> None:
    """Images of which nothing is left train as images do that are their mean all over; with a hole they do not."""
    data = patterns()
    mean = data.train_x.mean((2, 3), keepdims=True).round().astype(np.uint8)
    flat = replace(data, train_x=np.broadcast_to(mean, data.train_x.shape).copy())
    recipe = replace(SHORT, epochs=Epochs(float=1, qcfs=0, integers=0))

    def weights(side: int, data: Dataset) -> bytes:
        network = train(replace(recipe, erase=side), data=data).network
        return b"".join(n.weight.tobytes() for n in network if isinstance(n, Conv2d | Linear))

    assert weights(16, data) == weights(16, flat) == weights(2, flat) != weights(2, data)


def test_the_rate_rises_and_falls() -> None:
    assert [one_cycle(d, 0.2) for d in (0, 0.1, 0.2, 0.6, 1.0)] == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert [one_cycle(d, 0.0) for d in (0, 0.5, 1.0)] == pytest.approx([1, 0.5, 0])


GOOD = """data = "digits"
model = "resnet"
steps = 4
weight_bits = 4
flip = true
[epochs]
float = 1
qcfs = 1
integers = 1
[start]
file = "w.th"
mean = [0.5, 1]
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("flip = true", "flip = 1", r"r\.toml: flip must be true or false, not 1"),
        ("flip = true", 'optimiser = "lbfgs"', r"Recipe: optimiser must be 'adamw' or 'sgd', not 'lbfgs'"),
        ("flip = true", "warm_up = 1.0", r"Recipe: warm_up must be at least 0 and below 1, not 1\.0"),
        ("flip = true", "quantile = 0", r"Recipe: quantile must be above 0 and at most 1, not 0"),
        ("[0.5, 1]", '["a"]', r"r\.toml: \[start\]: mean must be a list of numbers, not \['a'\]"),
        ('file = "w.th"\n', "", r"r\.toml: \[start\]: key 'file' is missing"),
    ],
)
def test_bad_recipes_are_named(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(GOOD)
    recipe = read(path)
    assert isinstance(recipe, QcfsRecipe) and recipe.start == Start(file="w.th", mean=[0.5, 1]) and recipe.flip
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(RecipeError, match=message):
        read(path)


def test_the_given_weights_keep_their_accuracy(data_dir: Path, real: Callable[[str], Dataset]) -> None:
    """Folding the normalisation changes the border alone: 91.73 % of all test images before."""
    data, weights = real("cifar10"), data_dir / "weights" / "akamaster-resnet20-12fca82f.th"
    if not weights.exists():
        pytest.skip("no trained ResNet-20 in the folder of real data")
    model = resnet((3, 32, 32), 10).eval()
    load_weights(model, weights, mean=MEAN, std=STD)
    with torch.no_grad():
        found = model(torch.from_numpy(data.test_x[:500].copy()).float() / 255).argmax(1).numpy()
    assert (found == data.test_y[:500]).mean() > 0.88


def test_training_free_conversion_is_far_from_chance() -> None:
    """Trained in float only: thresholds from quantiles, no training with them."""
    recipe = replace(SHORT, bf16=False, flip=False, epochs=Epochs(float=6, qcfs=0, integers=0), rounded=False)
    found = train(recipe, data=patterns()).report.accuracy
    assert found["float"] > 0.95 and found["lossless"] > 0.5


def test_the_cifar_network() -> None:
    """The network in models/: its recipe is the one in examples/, and it is a ResNet-20 of 4-bit weights."""
    path = ROOT / "models" / "cifar-resnet20-t4w4.safetensors"
    network = netfile.load(path)
    recipe = read(ROOT / "examples" / "cifar_resnet20.toml")
    assert filled("meta", json.loads(network.meta["recipe"])) == recipe and network.meta["data"] == "cifar10"
    assert network.steps == 4 and {n.rule for n in network if isinstance(n, IF)} == {"lossless"}
    weights = [n for n in network if isinstance(n, Conv2d | Linear)]
    assert [n.weight_bits for n in weights] == [8, *[4] * 18, 8] and sum(n.weight.size for n in weights) == 268_336
    gains = [n for n in network if isinstance(n, Gain)]
    assert sum(isinstance(n, Add) for n in network) == len(gains) == 9
    assert [(n.stride, n.offset) for n in gains if n.stride > 1] == [(2, 8), (2, 16)]
    assert path.stat().st_size < 1 << 20 and json.loads(network.meta["accuracy"])["lossless"] > 0.88


@pytest.mark.slow
def test_the_cifar_network_is_as_good_as_it_says(real: Callable[[str], Dataset]) -> None:
    data = real("cifar10")
    network = netfile.load(ROOT / "models" / "cifar-resnet20-t4w4.safetensors")
    stated = json.loads(network.meta["accuracy"])["lossless"]
    assert golden.accuracy(network, data.test_x, data.test_y) == pytest.approx(stated, abs=1e-6)
