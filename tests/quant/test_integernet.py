"""IntegerNet: every equation of the method, the model against the integer network, recipes, a short training."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from patterns import patterns
from torch import Tensor, nn

from spikeloom.quant import golden
from spikeloom.quant.data import DataError, Dataset, digits
from spikeloom.quant.frontends.layers import IMAGE, UnsupportedLayer
from spikeloom.quant.ir import netfile
from spikeloom.quant.ir.ops import Conv2d, Linear, MaxPool, NetworkError, Requant
from spikeloom.quant.methods.integernet.algorithm import SBN, IntegerLayer, IntegerNet, convert, prepare
from spikeloom.quant.methods.qcfs.algorithm import QCFS
from spikeloom.quant.models import build, mnist_c
from spikeloom.quant.recipe import IntegerNetRecipe, RecipeError, read
from spikeloom.quant.training.train import train

ROOT = Path(__file__).parents[2]


def layers(net: IntegerNet) -> list[IntegerLayer]:
    return [x for x in net.order if isinstance(x, IntegerLayer)]


def integer_batch(*shape: int, scale: float = 40.0, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).mul(scale).round()


# Weights


def test_weights_are_rounded_half_to_even_then_clamped() -> None:
    (layer,) = layers(prepare(nn.Sequential(nn.Linear(9, 1)), 4))
    shadow = [0.5, 1.5, -0.5, -1.5, 2.5, 7.5, -7.5, 6.5, 100.0]
    layer.shadow.data = torch.tensor([shadow])
    assert layer.weight.tolist() == [[0, 2, 0, -2, 2, 7, -7, 6, 7]]
    layer.weight.sum().backward()
    # Straight through the rounding, and none where the rounded value was clamped.
    assert layer.shadow.grad is not None and layer.shadow.grad.tolist() == [[1, 1, 1, 1, 1, 0, 0, 1, 0]]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_first_weights_are_normal_of_std_2_to_the_n_minus_3(bits: int) -> None:
    torch.manual_seed(0)
    (layer,) = layers(prepare(nn.Sequential(nn.Linear(300, 300)), bits))
    top = (1 << (bits - 1)) - 1
    drawn = torch.randn(200_000, generator=torch.Generator().manual_seed(5)).mul(2.0 ** (bits - 3)).clamp(-top, top)
    assert layer.shadow.std().item() == pytest.approx(drawn.std().item(), rel=0.02)
    assert layer.shadow.abs().max() <= top


# The shift-based batch norm


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize(("shape", "scale"), [((6, 5), 40.0), ((6, 5, 3, 4), 900.0), ((64, 5), 0.7)])
def test_training_quantises_with_the_batch_s_statistics(
    bits: int, signed: bool, shape: tuple[int, ...], scale: float
) -> None:
    a = integer_batch(*shape, scale=scale)
    norm = SBN(5, bits, signed=signed).train()
    y = norm(a).movedim(1, 0).flatten(1)
    low, high = (-(2 ** (bits - 1)) + 1, 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    for channel, got in zip(a.movedim(1, 0).flatten(1).double().numpy(), y, strict=True):
        mean, std = channel.mean(), channel.std(ddof=1)
        bias, shift = round(mean), round(math.log2(std)) + (3 if signed else 2) - bits
        assert got.tolist() == np.clip(np.floor((channel - bias) / 2.0**shift), low, high).tolist()
    mean, std = a.movedim(1, 0).flatten(1).mean(1), a.movedim(1, 0).flatten(1).std(1, correction=1)
    assert torch.allclose(norm.running_mean, mean) and torch.allclose(norm.running_std, std)


def test_averages_are_of_mean_and_std_and_the_first_batch_sets_them() -> None:
    norm = SBN(3, 4)
    norm.running_mean.fill_(1e6)
    mean = std = None
    for seed in range(4):
        a = integer_batch(8, 3, 2, 2, scale=10.0 + 20 * seed, seed=seed)
        norm(a)
        now = a.movedim(1, 0).flatten(1).double().numpy()
        if mean is None or std is None:
            mean, std = now.mean(1), now.std(1, ddof=1)
        else:
            mean, std = 0.9 * mean + 0.1 * now.mean(1), 0.9 * std + 0.1 * now.std(1, ddof=1)
    assert np.allclose(norm.running_mean, mean, rtol=1e-5, atol=1e-5) and np.allclose(norm.running_std, std, rtol=1e-5)
    norm.eval()
    before = norm.running_mean.clone()
    norm(a)
    assert torch.equal(norm.running_mean, before), "evaluation leaves the averages alone"
    again = SBN(3, 4)
    again.load_state_dict(norm.state_dict())
    again.train()(a)
    assert torch.allclose(again.running_mean, 0.9 * before + 0.1 * a.mean((0, 2, 3))), "a loaded state goes on"


def test_evaluation_rounds_the_averages_half_to_even_and_shifts_down() -> None:
    norm = SBN(5, 4)
    norm.running_mean = torch.tensor([0.5, 1.5, -0.5, -2.5, 2.0])
    norm.running_std = torch.tensor([2**2.49, 2**2.51, 1.0, 2**-3.0, 2**5.0])
    norm.batches += 1
    norm.eval()
    bias, shift, low, high = norm.integers()
    assert bias.tolist() == [0, 2, 0, -2, 2] and shift.tolist() == [0, 1, -2, -5, 3] and (low, high) == (0, 15)
    a = torch.tensor([[-1.0, -1, 1, -2, -30], [9, 9, 3, -1, 9], [100, 5, 4, 7, 200]])
    assert norm(a).tolist() == [[0, 0, 4, 0, 0], [9, 3, 12, 15, 0], [15, 1, 15, 15, 15]]
    signed = SBN(1, 4, signed=True)
    signed.running_mean, signed.running_std, signed.batches = torch.tensor([3.0]), torch.tensor([8.0]), torch.tensor(1)
    signed.eval()
    # shift = 3 + 3 - 4 = 2; floor, so -1 becomes -1 and not 0
    assert signed(torch.tensor([[2.0], [-1.0], [-100.0], [6.0], [7.0], [99.0]])).flatten().tolist() == [
        -1, -1, -7, 0, 1, 7
    ]  # fmt: skip


def test_gradients_flow_straight_through_and_through_mean_and_shift() -> None:
    """Those of y = (a - mean) * 2^-(log2 std + c), every rounding left out going back but not going forward."""
    a = integer_batch(40, 3).requires_grad_()
    norm = SBN(3, 4, signed=True)
    weight = integer_batch(40, 3, seed=9)
    y = norm(a)
    inside = (y.detach() > -7) & (y.detach() < 7)
    (y * weight * inside).sum().backward()
    with torch.no_grad():
        std, mean = torch.std_mean(a, 0)
        scale = torch.exp2(-(std.log2().round() - 1))
        g = weight * inside
        d_bias = -(g * scale).sum(0)
        d_log = -(g * (a - mean.round()) * scale).sum(0) * math.log(2)
        want = g * scale + d_bias / 40 + d_log / (std * math.log(2)) * (a - mean) / (39 * std)
    assert a.grad is not None and torch.allclose(a.grad, want, rtol=1e-4, atol=1e-4)


def test_a_dead_channel_trains_with_finite_gradients_and_is_refused_by_name() -> None:
    net = prepare(build("cnn", (1, 8, 8), 10, channels=(4,), pool="max"), 4)
    layers(net)[0].shadow.data[2] = 0.1
    net.train()(torch.randint(16, (20, 1, 8, 8))).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    net.eval()
    with pytest.raises(NetworkError, match=r"act1: channel 2 is dead \(std 0\)"):
        convert(net, shape=(1, 8, 8), input_high=15)
    with pytest.raises(NetworkError, match=r"act1: channel 2 is dead"):
        net(torch.zeros(1, 1, 8, 8))


def test_what_was_never_trained_or_diverged_is_refused() -> None:
    net = prepare(build("mlp", (1, 8, 8), 10, hidden=(4,)), 4).eval()
    with pytest.raises(NetworkError, match="act1: has seen no batch in training"):
        convert(net, shape=(1, 8, 8))
    with pytest.raises(ValueError, match=r"act1: training needs two values a channel, not one of shape \(1, 4\)"):
        net.train()(torch.zeros(1, 1, 8, 8))
    net(torch.randint(16, (20, 1, 8, 8)))
    layers(net)[0].norm.running_std[1] = math.nan
    with pytest.raises(NetworkError, match=r"act1: .* of channel 1 are not finite; the training diverged"):
        convert(net, shape=(1, 8, 8))


# The model and the network


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("seed", range(4))
def test_evaluation_is_the_integer_network_to_the_last_bit(bits: int, seed: int) -> None:
    torch.manual_seed(seed)
    shape, high = ((2, 9, 7), 255) if seed % 2 else ((1, 9, 9), 3)
    model = nn.Sequential(
        nn.Conv2d(shape[0], 5, 3, padding=1, stride=2 if seed == 2 else 1),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.MaxPool2d(2, stride=1),
        nn.Conv2d(5, 4, (3, 2), bias=False),
        nn.MaxPool2d(2, stride=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(12),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(12, 3),
    )
    model(torch.zeros(2, *shape))
    net = prepare(model, bits)
    for layer in layers(net):
        layer.shadow.data.uniform_(-layer.top - 0.5, layer.top + 0.5)
    if seed == 3 and bits > 2:  # a first layer of small sums, shifted to the left
        layers(net)[0].shadow.data.mul_(0.02).view(-1)[::7] = 1
        high = 1
    pixels = torch.randint(high + 1, (100, *shape))
    for _ in range(3):
        net.train()(pixels)
    network = convert(net.eval(), shape=shape, input_high=high)
    shifts = np.concatenate([n.shift for n in network if isinstance(n, Requant)])
    assert network.steps == 1 and (shifts.min() < 0 or seed != 3 or bits == 2)
    result = golden.run(network, pixels.numpy())
    logits = net(pixels)
    assert logits.dtype == torch.float64 and np.array_equal(logits.detach().numpy(), result.logits)
    assert logits.unique().numel() > 1 and logits.abs().max() <= 2 ** (bits - 1) - 1
    assert [type(n) for n in network][1:7] == [Conv2d, Requant, MaxPool, Conv2d, Requant, MaxPool]
    assert {n.weight_bits for n in network if isinstance(n, Conv2d | Linear)} == {bits}


def test_pools_in_a_row_and_the_order_of_pool_and_quantiser() -> None:
    """The pool moves before the quantiser in the computation: the same values as behind it, in training as well."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.MaxPool2d(2, 1), nn.Flatten(), nn.Linear(12, 4)
    )
    net = prepare(model, 4).train()
    pixels = torch.randint(256, (20, 1, 8, 8))
    first = layers(net)[0]
    assert first.pool is not None
    sums = torch.nn.functional.conv2d(pixels.float(), first.weight)
    assert torch.equal(first({IMAGE: pixels.float()}), torch.nn.functional.max_pool2d(SBN(3, 4)(sums), 2))
    net(pixels)
    network = convert(net.eval(), shape=(1, 8, 8))
    assert [n.name for n in network] == ["input", "0", "1", "2", "3", "4", "5", "5_quant", "readout"]
    assert np.array_equal(net(pixels).detach().numpy(), golden.run(network, pixels.numpy()).logits)


class Block(nn.Module):
    """The authors' residual block: the second convolution plus the ``shortcut``, and one quantiser behind the sum."""

    def __init__(self, shortcut: nn.Module) -> None:
        super().__init__()
        self.first, self.conv1, self.conv2 = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 6, 3, 2, 1), nn.Conv2d(6, 4, 3, 1, 1)
        self.shortcut, self.fc = shortcut, nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        x = (self.conv2(self.conv1(x).relu()) + self.shortcut(x)).relu()
        return self.fc(x.mean((2, 3)))


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_a_residual_block_has_one_quantiser_behind_the_sum(bits: int) -> None:
    torch.manual_seed(bits)
    net = prepare(Block(nn.Conv2d(4, 4, 1, 2)), bits, (2, 9, 9))
    pixels = torch.randint(256, (60, 2, 9, 9))
    net.train()(pixels).pow(2).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
    network = convert(net.eval(), shape=(2, 9, 9))
    kinds = [type(n).__name__ for n in network]
    assert kinds[1:8] == ["Conv2d", "Requant", "Conv2d", "Requant", "Conv2d", "Conv2d", "Add"]
    assert kinds[8:] == ["Requant", "SumPool", "Flatten", "Linear", "Requant", "Readout"]
    assert network["add"].sources == ("conv2", "shortcut") and network["shortcut"].source == network["conv1"].source
    logits = net(pixels).detach().numpy()
    assert np.array_equal(logits, golden.run(network, pixels.numpy()).logits) and len(np.unique(logits)) > 1


def test_workload_c_has_the_layers_of_the_authors() -> None:
    net = prepare(mnist_c((1, 28, 28), 10), 4)
    net.train()(torch.randint(256, (2, 1, 28, 28)))
    net(torch.randint(256, (50, 1, 28, 28)))
    assert [x.shadow.numel() for x in layers(net)] == [144, 2304, 2304, 18432, 1280]
    assert [x.norm.signed for x in layers(net)] == [False] * 4 + [True]
    network = convert(net.eval(), shape=(1, 28, 28))
    assert [s.shape for s in network.signals.values() if s.kind == "currents"] == [
        (16, 28, 28), (16, 14, 14), (16, 7, 7), (128, 1, 1), (10, 1, 1)
    ]  # fmt: skip
    assert network.classes == 10 and (network.signals["readout"].low, network.signals["readout"].high) == (-7, 7)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(162, 4), QCFS(4), nn.Linear(4, 2)), "2: QCFS is not supported"),
        (nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU()), r"gives maps \(1\), which no training here knows; .*: a Linear"),
        (nn.Sequential(nn.Flatten(), nn.Linear(162, 4), nn.Sigmoid(), nn.Linear(4, 2)), "2: sigmoid with .* sup"),
    ],
)
def test_other_models_are_refused_by_name(model: nn.Module, message: str) -> None:
    with pytest.raises(UnsupportedLayer, match=message):
        prepare(model, 4, (2, 9, 9))


def test_bits_out_of_range() -> None:
    with pytest.raises(NetworkError, match=r"act1: bits must be in 2\.\.8, not 9"):
        prepare(build("mlp", (1, 8, 8), 10), 9)


# Training by a recipe

SHORT = IntegerNetRecipe(
    data="digits",
    model="cnn",
    model_args={"channels": [8, 16], "pool": "max", "hidden": [32]},
    bits=4,
    batch=50,
    epochs=4,
    rate=0.3,
    last_rate=0.01,
)


def test_a_short_training_learns_and_is_repeatable() -> None:
    calls: list[tuple[str, float, int]] = []
    data = patterns()
    trained = train(SHORT, data=data, progress=lambda phase, done, of, figures: calls.append((phase, done, of)))
    whole = [call for call in calls if call[1] == int(call[1])]  # on a slow machine there are calls in between
    assert whole == [("integers", k, 4) for k in range(1, 5)] and calls == sorted(calls)
    found = trained.report.accuracy
    assert list(found) == ["fake-quantised", "integers"] and found["fake-quantised"] == found["integers"] >= 0.95
    assert trained.network.steps == 1 and trained.network.input.high == 15
    assert golden.accuracy(trained.network, data.test_x, data.test_y) == found["integers"]
    assert isinstance(trained.model, IntegerNet)
    logits = trained.model(torch.from_numpy(data.test_x)).detach().numpy()
    assert np.array_equal(logits, golden.run(trained.network, data.test_x).logits)
    meta = trained.network.meta
    assert meta["data"] == "patterns" and json.loads(meta["recipe"])["method"] == "integernet"
    assert json.loads(meta["accuracy"]) == {k: round(v, 6) for k, v in found.items()}
    short = replace(SHORT, epochs=1)
    assert train(short).network.hash == train(short).network.hash != train(replace(short, seed=1)).network.hash


def test_held_out_images_come_from_the_end_of_the_training_split() -> None:
    data = digits()
    part = data.held_out(300)
    assert len(part.train_x) == 1100 and part.name == "digits, held out"
    assert np.array_equal(np.concatenate((part.train_x, part.test_x)), data.train_x)
    assert np.array_equal(np.concatenate((part.train_y, part.test_y)), data.train_y)
    for count in (0, 1400):
        with pytest.raises(DataError, match=rf"digits: held out must be 1\.\.1399 training images, not {count}"):
            data.held_out(count)


GOOD = 'data = "digits"\nmodel = "mlp"\nmethod = "integernet"\nbits = 4\nepochs = 3\n'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("bits", "bitts", r"r\.toml: key 'bitts' is unknown \(is 'bits' meant\?\); known keys: .*bits, epochs"),
        ("bits = 4", "bits = 4\nsteps = 4", r"r\.toml: method 'integernet' has no key 'steps'; its keys: data, model"),
        ("bits = 4", 'bits = 4\nrule = "causal"', r"r\.toml: method 'integernet' has no key 'rule'"),
        ("bits = 4\n", "", r"r\.toml: key 'bits' is missing"),
        ("bits = 4", "bits = 9", r"Recipe: bits must be in 2\.\.8, not 9"),
        ("epochs = 3", "epochs = 0", r"Recipe: epochs must be 1 or more, not 0"),
        ("epochs = 3", "epochs = {integers = 3}", r"r\.toml: epochs must be an integer, not \{'integers': 3\}"),
        ("bits = 4", "bits = 4\nrate = 0", r"Recipe: rate must be positive, not 0"),
        ("bits = 4", "bits = 4\nlast_rate = 0.2", r"Recipe: last_rate must be positive and at most rate, not 0\.2"),
        ("bits = 4", "bits = 4\nbatch = 1", r"Recipe: batch must be at least 2"),
        ('"integernet"', "7", r"r\.toml: method must be 'qcfs' or 'integernet' or .*, not 7"),
        ('method = "integernet"\n', "", r"r\.toml: method 'qcfs' has no key 'bits'; its keys: data, model"),
    ],
)
def test_bad_recipes_are_named(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(GOOD)
    assert read(path) == IntegerNetRecipe(data="digits", model="mlp", bits=4, epochs=3)
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(RecipeError, match=message):
        read(path)


def test_a_recipe_s_class_and_its_method_agree() -> None:
    with pytest.raises(RecipeError, match="Recipe: method must be 'integernet', not 'qcfs'"):
        replace(SHORT, method="qcfs")


def test_the_mnist_network(real: Callable[[str], Dataset]) -> None:
    """The network in models/: its recipe is the one in examples/, its accuracy on the test split what it says."""
    network = netfile.load(ROOT / "models" / "mnist-integernet-w4a4.safetensors")
    recipe = read(ROOT / "examples" / "mnist_integernet.toml")
    written = json.loads(network.meta["recipe"])  # may lack keys that came later
    assert written == {key: vars(recipe)[key] for key in written} and network.meta["data"] == "mnist"
    stated = json.loads(network.meta["accuracy"])["integers"]
    assert {n.weight_bits for n in network if isinstance(n, Conv2d | Linear)} == {4}
    assert {(n.lo, n.hi) for n in network if isinstance(n, Requant)} == {(0, 15), (-7, 7)}
    data = real("mnist")
    assert golden.accuracy(network, data.test_x, data.test_y) == pytest.approx(stated, abs=1e-6) and stated >= 0.99
