"""Post-training quantisation: integers that are the method's own, gains that are shifts, refusals, and the table of
errors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from own_model import Own, into_hardware, look_trained, small_digits
from test_repeat import PreActivation
from torch import Tensor, nn

from benchmarks import ptq as benchmark
from spikeloom import api
from spikeloom.quant import golden
from spikeloom.quant.data import Dataset
from spikeloom.quant.frontends.floats import results
from spikeloom.quant.frontends.layers import Activation, Layer, UnsupportedLayer, Weights
from spikeloom.quant.frontends.torch_fx.graph import trace
from spikeloom.quant.ir.ops import IF, Conv2d, Gain, NetworkError, Requant
from spikeloom.quant.methods.ptq import algorithm, errors
from spikeloom.quant.methods.ptq.recipe import PtqRecipe
from spikeloom.quant.methods.ptq.settling import clips, forms
from spikeloom.quant.methods.ptq.settling.levels import Levels
from spikeloom.quant.methods.ptq.settling.settle import Options
from spikeloom.quant.methods.qcfs.algorithm import prepare
from spikeloom.quant.models import cnn
from spikeloom.quant.recipe import RecipeError, read
from spikeloom.quant.training.train import train

SHAPE = (2, 8, 8)
FORMS: list[dict[str, Any]] = [
    {"form": "values"},
    {"form": "values", "bits": 4, "weight_bits": 4, "first_bits": 8},
    {"form": "spikes", "steps": 15},
    {"form": "spikes", "steps": 3, "weight_bits": 4, "last_bits": 8, "reconstruct": 1},
]
MEAN, STD = [0.4, 0.5], [0.2, 0.3]


class Separable(nn.Module):
    """Depthwise and pointwise convolutions with strides, a pool of maxima and one of the whole map."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.deep, self.deep_norm = nn.Conv2d(6, 6, 3, 1, 1, groups=6, bias=False), nn.BatchNorm2d(6)
        self.point, self.point_norm = nn.Conv2d(6, 8, 1, bias=False), nn.BatchNorm2d(8)
        self.answer = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.first_norm(self.first(x))), 2)
        x = F.relu(self.point_norm(self.point(F.relu(self.deep_norm(self.deep(x))))))
        return self.answer(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Twice(nn.Module):
    """A sum without weights: of two activations."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.answer = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        x = F.relu(F.relu(self.second(x)) + x)
        return self.answer(F.adaptive_avg_pool2d(x, 1).flatten(1))


def model(kind: type[nn.Module] = Own, seed: int = 0) -> list[Layer]:
    """The layers of a model with random weights that look trained."""
    torch.manual_seed(seed)
    made = kind(SHAPE, 5) if kind is Own else kind()
    return trace(look_trained(made), SHAPE)


def pixels(count: int = 60, seed: int = 1) -> np.ndarray:
    """Random images (count, 2, 8, 8) of 0..15, of which neighbours are alike."""
    rough = np.random.default_rng(seed).integers(0, 16, (count, 2, 4, 4))
    return rough.repeat(2, 2).repeat(2, 3).astype(np.uint8)


def quantise(layers: list[Layer], **settings: Any) -> algorithm.Quantised:
    return algorithm.quantise(layers, pixels(), **{"shape": SHAPE, "input_high": 15, "form": "values", **settings})


def floats(layers: list[Layer], x: np.ndarray, mean: list[float], std: list[float]) -> dict[str, Tensor]:
    """What the float network gives for ``x``, by layer."""
    m, s = (torch.tensor(a).view(-1, 1, 1) for a in (mean, std))
    return {layer.name: found for layer, found in results(layers, (torch.from_numpy(x).float() / 15 - m) / s)}


@pytest.mark.parametrize("settings", FORMS)
@pytest.mark.parametrize("kind", [Own, Separable])
def test_the_network_is_what_the_method_computed(
    kind: type[nn.Module], settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}
    run = algorithm.run_stage

    def watched(stage: Any, *rest: Any) -> Any:
        seen[stage.name] = found = run(stage, *rest)
        return found

    monkeypatch.setattr(algorithm, "run_stage", watched)
    network = quantise(model(kind), mean=MEAN, std=STD, **settings).network
    outputs = golden.run(network, pixels()).outputs
    last = network.nodes[-1].name
    for name, want in seen.items():
        found = outputs[last] if name == "answer" else outputs[name]
        found = found.sum(1) if found.ndim == 5 else found.reshape(want.x.shape)
        assert np.array_equal(found, want.x.numpy()), name
    into_hardware(network, pixels(3, seed=2))


@pytest.mark.parametrize("settings", FORMS[:3:2])
def test_results_are_near_those_of_the_float_network(settings: dict[str, Any]) -> None:
    for kind in (Own, Separable, Twice):
        layers, unseen = model(kind), pixels(200, seed=3)
        found = quantise(layers, mean=MEAN, std=STD, **settings)
        want = floats(layers, unseen, MEAN, STD)[layers[-1].name].numpy()
        logits = golden.run(found.network, unseen, keep=()).logits * found.unit
        assert ((logits - want) ** 2).sum() < 0.02 * (want**2).sum()


def test_gains_are_shifts_and_thresholds_free() -> None:
    values = quantise(model()).network
    assert values.steps == 1 and not any(isinstance(n, IF) for n in values)
    for node in values:
        assert not isinstance(node, Requant) or ((node.shift >= -8) & (node.shift <= 30)).all()
    spikes = quantise(model(), form="spikes", steps=7).network
    assert spikes.steps == 7 and {n.rule for n in spikes if isinstance(n, IF)} == {"lossless"}


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_power_of_two_carries_no_error(share: float) -> None:
    """Without a refit: a value is the float result on the same inputs, of the rounded weights, to half a level."""
    layers, found = model(Separable), quantise(model(Separable), options=Options(refit=False, share=share))
    kinds = {layer.name: layer for layer in layers}
    outputs = golden.run(found.network, pixels()).outputs
    for node in found.network:
        if isinstance(node, Requant):
            conv = found.network[node.source]
            assert isinstance(conv, Conv2d)
            total = outputs[conv.name] - node.bias.reshape(-1, 1, 1)
            exact = total / 2.0 ** node.shift.reshape(-1, 1, 1)
            assert np.array_equal(outputs[node.name], np.clip(np.floor(exact), 0, 255))
            weight = kinds[conv.name]
            assert isinstance(weight, Weights) and weight.weight.shape == conv.weight.shape


def test_a_shortcut_keeps_its_worth() -> None:
    """The scale of a sum divides the worth of the shortcut: its gain is whole before it is rounded."""
    unit, finest = torch.tensor([0.013, 0.4, 0.02]).double(), torch.tensor([1e-4, 2e-3, 1e-4]).double()
    sources = torch.tensor([0.017, 0.3, 0.0]).double()
    for kind, levels in (("values", 255), ("spikes", 15)):
        form = forms.Form(kind, levels, 1 if kind == "values" else levels)
        for scale, step in form.grids(unit, finest, sources, 4):
            gain = (sources / scale)[:2]
            assert torch.allclose(gain, gain.round(), rtol=1e-12) and (gain >= 1).all() and (step > 0).all()
            assert kind == "spikes" or (step.log2() == step.log2().round()).all()
    network = quantise(model()).network
    assert all(node.gain.min() > 0 for node in network if isinstance(node, Gain))


def test_a_clip_has_the_least_error() -> None:
    x = torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0)).relu() * torch.tensor([1.0, 2.0, 30.0])
    levels = Levels(0, 7, 0.0, torch.inf)
    found = clips.Clips(x, levels)
    own, common = found.units(1.0), found.units(0.0)
    assert torch.allclose(own / own[0], torch.tensor([1.0, 2.0, 30.0]).double(), rtol=0.1) and len(common.unique()) == 1
    for unit in (own, common):
        error = clips.rounding_error(x.double(), unit, levels).sum(0)
        assert torch.allclose(found.error(unit), error, rtol=0.02)
    for factor in (0.8, 1.25):
        assert (found.error(own * factor) > found.error(own)).all()


@pytest.mark.parametrize(
    ("settings", "name"), [({"first_bits": 2}, "relu"), ({"last_bits": 2, "steps": 63, "form": "spikes"}, "answer")]
)
def test_the_table_names_the_layer_that_was_spoilt(settings: dict[str, Any], name: str) -> None:
    layers = quantise(model(), options=Options(refit=False), **settings).layers
    assert errors.worst(layers).name == name
    text = errors.table(layers)
    assert text.splitlines()[-1].startswith(f"most is lost in {name}: ") and text.count("\n") == len(layers) + 1


def test_equalisation_saves_a_depthwise_layer() -> None:
    """A channel a hundred times as large as another costs nothing where each has a clip of its own."""
    layers = model(Separable)
    kinds = {layer.name: k for k, layer in enumerate(layers)}
    first, deep = layers[kinds["first"]], layers[kinds["deep"]]
    assert isinstance(first, Weights) and isinstance(deep, Weights)
    factor = torch.tensor([1, 30, 0.03, 1, 10, 0.1])
    by = factor.view(-1, 1, 1, 1)
    layers[kinds["first"]] = replace(first, weight=first.weight * by, bias=first.bias * factor)
    layers[kinds["deep"]] = replace(deep, weight=deep.weight / by)
    settings = {"form": "spikes", "steps": 15}
    lost = {share: quantise(layers, options=Options(share=share), **settings).layers[-1] for share in (0.0, 1.0)}
    same = quantise(model(Separable), **settings).layers[-1]
    assert lost[1.0].integers_db > lost[0.0].integers_db + 3 and abs(lost[1.0].integers_db - same.integers_db) < 1


def test_padding_of_the_image_is_measured() -> None:
    found = quantise(model(), mean=MEAN, std=STD).layers
    assert found[0].padding_db is not None and 0 < found[0].padding_db < 40
    assert all(layer.padding_db is None for layer in found[1:])
    assert all(layer.padding_db is None for layer in quantise(model()).layers)
    assert "whole pixels as padding" in errors.table(found)


def test_an_image_that_is_added_up_keeps_its_mean() -> None:
    """The sum takes the image itself: its offset goes into the bias."""
    torch.manual_seed(0)
    net = PreActivation(first=False)
    layers, images = trace(net.eval(), (2, 4, 4)), pixels()[:, :, ::2, ::2].copy()
    found = algorithm.quantise(layers, images, shape=(2, 4, 4), input_high=15, form="spikes", steps=31, mean=MEAN,
                               std=STD)
    want = floats(layers, images, MEAN, STD)[layers[-1].name].numpy()
    logits = golden.run(found.network, images, keep=()).logits * found.unit
    assert ((logits - want) ** 2).sum() < 0.1 * ((want - want.mean(0)) ** 2).sum()
    into_hardware(found.network, images[:3])


def test_dead_and_constant_channels() -> None:
    layers = model()
    kinds = {layer.name: k for k, layer in enumerate(layers)}
    first = layers[kinds["stem"]]
    assert isinstance(first, Weights)
    weight, bias = first.weight.clone(), first.bias.clone()
    weight[0], bias[0] = 0, 1.5  # always 1.5
    weight[1], bias[1] = 0, -1  # never anything
    weight[2] *= 1e-6  # nearly dead
    bias[2] = -0.1
    layers[kinds["stem"]] = replace(first, weight=weight, bias=bias)
    for settings in FORMS:
        network = quantise(layers, **settings).network
        found = golden.run(network, pixels()).outputs[next(n.name for n in network if isinstance(n, Requant | IF))]
        found = found.sum(1) if found.ndim == 5 else found
        assert len(np.unique(found[:, 0])) == 1 and found[:, 0].max() > 0 and not found[:, 1].any()


@pytest.mark.slow
def test_reconstruction_brings_results_nearer() -> None:
    net, data, _ = small_digits()
    layers, done = trace(net, data.shape), list[float]()
    settings: dict[str, Any] = {"shape": data.shape, "input_high": 15, "form": "spikes", "steps": 3, "weight_bits": 4}
    without = algorithm.quantise(layers, data.train_x[:500], **settings)
    found = algorithm.quantise(layers, data.train_x[:500], reconstruct=30, progress=done.append, **settings)
    assert done == sorted(done) and done[-1] == 1
    assert found.layers[-1].integers_db > without.layers[-1].integers_db + 0.2 and found.gained
    for one, other in zip(found.network, without.network, strict=True):
        assert not isinstance(one, Gain) or one == other


def test_reconstruction_without_gain_changes_nothing() -> None:
    settings = FORMS[1]
    one, other = (quantise(model(), **settings, reconstruct=epochs) for epochs in (0, 3))
    assert one.network.hash == other.network.hash and one.layers == other.layers
    assert (one.gained, other.gained) == (None, False)


def test_a_reconstruction_that_gains_nothing_says_so() -> None:
    """Few levels and one image: nothing is left to be learned from it."""
    torch.manual_seed(1)
    net, image = look_trained(cnn((1, 8, 8), 10, channels=[4, 6])), np.full((1, 1, 8, 8), 200, np.uint8)
    made, without = (api.convert(net, calibrate=image, bits=8, reconstruct=epochs) for epochs in (1, 0))
    (note,) = (note for note in made.notes if "reconstruction" in note)
    assert note.startswith("reconstruction gained nothing on the images given, so the network is the one without it")
    assert made.hash == without.hash and not any("reconstruction" in note for note in without.notes)


def test_a_recipe_is_followed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(cnn((1, 8, 8), 10, channels=[4, 6]).state_dict(), tmp_path / "start.pt")
    path = tmp_path / "r.toml"
    path.write_text(f"""data = "digits"\nmodel = "cnn"\nmethod = "ptq"\nform = "spikes"\nsteps = 7\nimages = 50
[model_args]\nchannels = [4, 6]\n[start]\nfile = "{tmp_path / "start.pt"}"\n""")
    recipe = read(path)
    assert isinstance(recipe, PtqRecipe) and recipe.kind == "lossless neurons"
    trained = train(recipe)
    assert abs(trained.report.accuracy["float"] - trained.report.accuracy["integers"]) < 0.05
    assert [layer["name"] for layer in json.loads(trained.network.meta["layers"])][-1]
    path.write_text(path.read_text().replace('"spikes"', '"trains"'))
    with pytest.raises(RecipeError, match="form must be 'values' or 'spikes', not 'trains'"):
        read(path)


def test_the_page_has_what_was_measured() -> None:
    text, figures = benchmark.PAGE.read_text(), json.loads(benchmark.FIGURES.read_text())
    assert text == benchmark.page(text, figures) and set(figures) == set(benchmark.ROWS)


def refused(layers: list[Layer], match: str, kind: type[Exception], **settings: Any) -> None:
    with pytest.raises(kind, match=match):
        quantise(layers, **settings)


def test_refusals_name_layer_rule_and_remedy() -> None:
    torch.manual_seed(0)
    levels = trace(prepare(Own(SHAPE, 5), levels=4).eval(), SHAPE)
    name = next(layer.name for layer in levels if isinstance(layer, Activation))
    refused(levels, rf"^{name}: QCFS .* is not supported; supported: ReLU", UnsupportedLayer)
    layers = model()
    wrong = replace(layers[0], weight=torch.full((6, 2, 3, 3), torch.nan)) if isinstance(layers[0], Weights) else None
    assert wrong is not None
    refused([wrong, *layers[1:]], rf"^{layers[0].name}: .*NaN", NetworkError)
    for settings, match in (
        ({"form": "steps"}, "form must be"),
        ({"bits": 9}, "bits must be in 1..8"),
        ({"form": "spikes", "steps": 65}, "steps must be in 1..64"),
        ({"weight_bits": 1}, "weight_bits must be in 2..8"),
        ({"last_bits": 9}, "last_bits must be in 2..8"),
        ({"std": [1.0]}, "std must have a positive value for each of 2 channels"),
        ({"std": [1.0, 0.0]}, "std must have a positive value"),
        ({"shape": (1, 8, 8)}, "pixels must be integers 0..15 of shape"),
        ({"input_high": 7}, "pixels must be integers 0..7"),
    ):
        refused(layers, match, NetworkError, **settings)


@pytest.mark.slow
@pytest.mark.parametrize("settings", FORMS[1:3])
def test_verilog_of_a_quantised_network(settings: dict[str, Any], tmp_path: Path) -> None:
    network = quantise(model(Separable), **settings).network
    api.generate(network, tmp_path / "design")
    assert api.verify(tmp_path / "design", pixels(2, seed=4)).equal


def test_the_digits_keep_their_accuracy() -> None:
    net, data, right = small_digits()
    layers = trace(net, data.shape)
    for settings in FORMS[::2]:
        found = algorithm.quantise(layers, data.train_x[:300], shape=data.shape, input_high=15, **settings)
        assert golden.accuracy(found.network, data.test_x, data.test_y) > right - 0.012
        assert found.layers[-1].integers_db > 15


@pytest.mark.slow
def test_the_given_resnet_keeps_its_accuracy(data_dir: Path, real: Any) -> None:
    data: Dataset = real("cifar10")
    weights = data_dir / "weights" / "akamaster-resnet20-12fca82f.th"
    if not weights.exists():
        pytest.skip("no trained ResNet-20 in the folder of real data")
    layers = benchmark.float_layers(weights)
    for settings, least in (({"form": "values"}, 0.905), ({"form": "spikes", "steps": 15}, 0.895)):
        found = algorithm.quantise(
            layers, data.train_x[:500], shape=data.shape, input_high=255, mean=benchmark.MEAN, std=benchmark.STD,
            **settings,
        )
        assert golden.accuracy(found.network, data.test_x[:1000], data.test_y[:1000]) > least
