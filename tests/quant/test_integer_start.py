"""IntegerNet beyond the paper: shortcuts without weights, a learned beta, and a start from trained floats."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from own_model import Own, look_trained, small_digits
from torch import Tensor, nn

from spikeloom.quant import golden
from spikeloom.quant.ir.ops import Add, Gain, NetworkError, Requant
from spikeloom.quant.methods.integernet.algorithm import IntegerLayer, IntegerNet, convert, prepare
from spikeloom.quant.methods.integernet.integer_start import start
from spikeloom.quant.methods.integernet.sbn import SBN
from spikeloom.quant.models import resnet
from spikeloom.quant.recipe import Distill, IntegerNetRecipe, RecipeError, Start
from spikeloom.quant.training.train import train

GOOD = IntegerNetRecipe(
    data="digits", model="resnet", model_args={"depth": 8, "width": 4}, bits=4, batch=50, epochs=2, rate=0.03,
    last_rate=0.003, beta=True,
)  # fmt: skip


def layers(net: IntegerNet) -> list[IntegerLayer]:
    return [x for x in net.order if isinstance(x, IntegerLayer)]


def pixels_of_digits() -> tuple[Tensor, Tensor]:
    _, data, _ = small_digits()
    return torch.from_numpy(data.train_x).float(), torch.from_numpy(data.train_y)


@pytest.mark.parametrize("bits", [3, 4, 8])
@pytest.mark.parametrize("own", [True, False])
def test_shortcuts_without_weights_are_gains_before_the_one_quantiser(bits: int, own: bool) -> None:
    """Identity, projection, and the strided and zero-padded one of a ResNet: evaluation is the integer network, with
    gains and betas that nothing has trained and with ones that training has moved."""
    torch.manual_seed(bits)
    shape = (2, 8, 8)
    model = look_trained(Own(shape, 5) if own else resnet(shape, 5, depth=8, width=4))
    net = prepare(model, bits, shape, beta=True)
    skips = [skip for layer in layers(net) for skip in layer.shortcuts]
    assert len(skips) == (1 if own else 3)
    channels, *fan_in = next(x for x in layers(net) if skips[0] in x.shortcuts).shadow.shape
    first = min(127, round(2.0 ** (bits - 3) * math.prod(fan_in) ** 0.5))
    assert skips[0].gain.tolist() == [first] * channels, "as much as the weights, at first"
    pixels = torch.randint(256, (60, *shape))
    optimiser = torch.optim.Adam(net.parameters(), lr=0.5)
    net.train()
    for _ in range(3):
        optimiser.zero_grad()
        net(pixels).pow(2).sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
        optimiser.step()
        network = convert(net.eval(), shape=shape)
        logits = net(pixels).detach().numpy()
        assert np.array_equal(logits, golden.run(network, pixels.numpy()).logits) and len(np.unique(logits)) > 1
        net.train()
    gains = [node for node in network if isinstance(node, Gain)]
    assert [node.gain.tolist() for node in gains] == [skip.gain.tolist() for skip in skips]
    assert all(isinstance(network[a.name], Add) for a in network if isinstance(a, Add))
    if not own:
        assert gains[1].stride == 2 and gains[1].gain[:2].tolist() == [0, 0] and gains[1].offset == 2


@pytest.mark.parametrize("signed", [False, True])
def test_beta_is_added_to_the_result(signed: bool) -> None:
    """bias = round(mean - beta 2^shift), in training and in evaluation; its gradient is that of y + beta."""
    norm = SBN(3, 4, signed=signed, moved=True)
    assert norm.beta is not None and norm.beta.tolist() == [0, 0, 0]
    a = torch.randn(4000, 3, generator=torch.Generator().manual_seed(1)).mul(torch.tensor([30.0, 33.0, 200.0])).round()
    norm.beta.data = torch.tensor([1.0, -2.0, 0.5])
    y = norm(a)
    std, mean = torch.std_mean(a, 0)
    shift = std.log2().round() + norm.offset
    free = ((a - (mean - norm.beta * 2**shift).round()) / 2**shift).floor()
    want = free.clamp(norm.low, norm.high)
    assert torch.equal(y, want)
    y.sum().backward()
    inside = (free >= norm.low) & (free <= norm.high)
    assert norm.beta.grad is not None and torch.allclose(norm.beta.grad, inside.sum(0).float())
    bias = norm.eval().integers().bias
    assert bias.tolist() == (mean - norm.beta * 2**shift).round().tolist()
    assert torch.equal(norm(a), want)
    assert SBN(3, 4).beta is None and not list(SBN(3, 4).parameters()), "published: nothing to learn"


@pytest.mark.parametrize(("bits", "alike"), [(8, 0.98), (6, 0.97), (4, 0.7)])
def test_a_start_from_floats_answers_as_they_do(bits: int, alike: float) -> None:
    """The user's own network, trained with ReLUs: batch norm, both kinds of shortcut, a pool, two linear layers."""
    model, _, _ = small_digits()
    before = copy.deepcopy(model.state_dict())
    x, y = pixels_of_digits()
    net = prepare(model, bits, tuple(x.shape[1:]), beta=True)
    start(net, model, x[:300], 15)
    net.eval()
    with torch.no_grad():
        ours, theirs = net(x[300:]), model(x[300:] / 15)
    # Class by class: the worth of a logit is a power of two times that of another one.
    assert min(torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(ours.T, theirs.double().T, strict=True)) > alike
    assert float((ours.argmax(1) == y[300:]).float().mean()) > 0.75
    assert all(torch.equal(a, b) for a, b in zip(before.values(), model.state_dict().values(), strict=True))


def test_grouped_convolutions_max_pools_and_flattened_maps_keep_their_units() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 4, 3, groups=2), nn.ReLU(),
        nn.AvgPool2d(2, 1), nn.Flatten(), nn.Linear(4, 3),
    )  # fmt: skip
    x = torch.randint(256, (400, 2, 8, 8)).float() * (torch.rand(400, 2, 8, 8) < 0.2)
    model[-1].bias.data -= model(x / 255).mean(0)  # as trained logits are: not all far from 0
    net = prepare(model.eval(), 8, (2, 8, 8), beta=True)
    start(net, model, x[:300], 255)
    with torch.no_grad():
        ours, theirs = net.eval()(x[300:]), model(x[300:] / 255).double()
    assert min(torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(ours.T, theirs.T, strict=True)) > 0.93


def test_a_zero_padded_shortcut_has_gains_where_it_has_channels() -> None:
    torch.manual_seed(0)
    model = look_trained(resnet((2, 8, 8), 3, depth=8, width=4))
    net = prepare(model, 8, (2, 8, 8), beta=True)
    start(net, model, torch.randint(256, (50, 2, 8, 8)), 255)
    gains = [skip.gain.tolist() for layer in layers(net) for skip in layer.shortcuts]
    assert [[gain > 0 for gain in row] for row in gains] == [
        [True] * 4, [False] * 2 + [True] * 4 + [False] * 2, [False] * 4 + [True] * 8 + [False] * 4
    ]  # fmt: skip


def test_dead_channels_are_named() -> None:
    model, _, _ = small_digits()
    model = copy.deepcopy(model)
    model.stem.weight.data[2] = 0
    with pytest.raises(NetworkError, match="stem: the weights of channel 2 are all zero; remove the channel"):
        start(prepare(model, 4, (1, 8, 8)), model, pixels_of_digits()[0][:50], 15)


def test_a_recipe_starts_from_weights_and_is_taught_by_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(resnet((1, 8, 8), 10, depth=8, width=4).state_dict(), tmp_path / "w.pth")
    recipe = replace(GOOD, start=Start(file=str(tmp_path / "w.pth")), distill=Distill(weight=0.1, temperature=2.0))
    trained = train(recipe)
    assert list(trained.report.accuracy) == ["float", "started", "fake-quantised", "integers"]
    assert any(isinstance(node, Gain) for node in trained.network)
    biases = [node.bias for node in trained.network if isinstance(node, Requant)]
    other = train(replace(recipe, start=None, distill=None)).network
    assert any((a != b.bias).any() for a, b in zip(biases, (n for n in other if isinstance(n, Requant)), strict=True))
    with pytest.raises(RecipeError, match="distill must be with a model, for there is no float phase"):
        replace(recipe, start=None)
