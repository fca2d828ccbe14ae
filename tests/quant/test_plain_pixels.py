"""Mean and std of a model's images in its first layers, and what a model is taken to see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikeloom.quant.analysis.errors import compare, float_classes
from spikeloom.quant.conversion.pixels import of_plain_pixels
from spikeloom.quant.frontends.floats import results
from spikeloom.quant.frontends.layers import UnsupportedLayer, Weights
from spikeloom.quant.frontends.torch_fx.graph import read
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import Input, Linear, Readout, Requant
from spikeloom.quant.seen import Seen, SeenError

SHAPE = (4, 6, 6)
MEAN, STD = (0.1, 0.5, -0.2, 0.9), (0.3, 1.0, 2.0, 0.25)


def logits(layers: Any, x: torch.Tensor) -> torch.Tensor:
    *_, (_, last) = results(layers, x)
    return last


MODELS: dict[str, Any] = {
    "convolution": lambda: [nn.Conv2d(4, 6, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3)],
    "groups": lambda: [nn.Conv2d(4, 6, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(96, 3)],
    "depthwise": lambda: [nn.Conv2d(4, 8, 3, groups=4), nn.ReLU(), nn.Flatten(), nn.Linear(128, 3)],
    "vector": lambda: [nn.Flatten(), nn.Linear(144, 5), nn.ReLU(), nn.Linear(5, 3)],
    "average": lambda: [nn.AvgPool2d(2), nn.Conv2d(4, 6, 2), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3)],
    "average by 3": lambda: [nn.AvgPool2d(2, divisor_override=3), nn.Flatten(), nn.Linear(36, 3)],
    "maximum": lambda: [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)],
}


@pytest.mark.parametrize("name", MODELS)
def test_layers_take_plain_pixels(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*MODELS[name]()).double().eval()
    layers, x = read(model, SHAPE).layers, torch.rand(5, *SHAPE, dtype=torch.float64)
    mean, std = (torch.tensor(v, dtype=torch.float64).view(-1, 1, 1) for v in (MEAN, STD))
    plain, around = of_plain_pixels(layers, SHAPE, MEAN, STD, 255)
    with torch.no_grad():
        want = model((x - mean) / std)
    assert torch.allclose(logits(plain, x), want, atol=1e-9) and not around
    assert not torch.allclose(logits(layers, x), want, atol=1e-2)


def padding(pool: bool = False) -> nn.Sequential:
    """A first layer with padding, behind a pool or not."""
    torch.manual_seed(0)
    first = [nn.AvgPool2d(2)] if pool else []
    size = 54 if pool else 216
    return nn.Sequential(*first, nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(size, 3)).eval()


@pytest.mark.parametrize("pool", [False, True])
def test_padding_is_the_mean(pool: bool) -> None:
    """Where the mean is a pixel, in 0..255 or as a sum of four of them, nothing is lost; the type is that of a file."""
    mean = (20 / 255, 0.0, 1.0, 128 / 255) if not pool else (20.25 / 255, 0.0, 1.0, 128.75 / 255)
    model = padding(pool).double()
    layers, x = read(model, SHAPE).layers, torch.rand(5, *SHAPE, dtype=torch.float64)
    m, s = (torch.tensor(v, dtype=torch.float64).view(-1, 1, 1) for v in (mean, STD))
    plain, around = of_plain_pixels(layers, SHAPE, mean, STD, 255)
    assert not around and torch.allclose(logits(plain, x), model((x - m) / s), atol=1e-9)
    zeros, around = of_plain_pixels(layers, SHAPE, (0.0,) * 4, STD, 255)  # zero stays zero
    assert not around and all(not layer.pad for layer in zeros if isinstance(layer, Weights))


def test_what_rounding_leaves_of_the_mean_is_named() -> None:
    """At the border, and no more of it than half a pixel makes; a mean that no pixel has is the nearest one."""
    model = padding()
    layers, x = read(model, SHAPE).layers, torch.rand(5, *SHAPE)
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (MEAN, STD))
    plain, (around,) = of_plain_pixels(layers, SHAPE, MEAN, STD, 255)
    assert (around.name, around.pad) == (layers[0].name, (26, 128, 0, 230)) and around.off == pytest.approx(51)
    assert str(around) == "0: pads with 26, 128, 0, 230 in place of 25.5, 127.5, -51, 229.5, the 0 of the model"
    (_, got), (_, want) = (next(iter(results(each, y))) for each, y in ((plain, x), (layers, (x - mean) / std)))
    inner = np.s_[:, :, 1:-1, 1:-1]
    assert torch.allclose(got[inner], want[inner], atol=1e-5) and not torch.allclose(got, want, atol=1e-2)
    inside, _ = of_plain_pixels(layers, SHAPE, (0.1, 0.5, 0.2, 0.9), STD, 255)
    black = [replace(inside[0], pad=()), *inside[1:]]
    shown = (x - torch.tensor((0.1, 0.5, 0.2, 0.9)).view(-1, 1, 1)) / std
    (_, want) = next(iter(results(layers, shown)))
    near, far = ((next(iter(results(one, x)))[1] - want).square().sum() for one in (inside, black))
    assert near < far / 1000


def test_an_image_that_goes_around_the_first_layer_is_refused() -> None:
    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.last = nn.Conv2d(4, 4, 1), nn.Linear(144, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(torch.relu(self.conv(x) + x).flatten(1))

    with pytest.raises(UnsupportedLayer, match="Shortcut of a normalised image is not supported"):
        of_plain_pixels(read(Around().eval(), SHAPE).layers, SHAPE, MEAN, STD, 255)


def test_what_a_model_sees() -> None:
    pixels = np.arange(8).reshape(1, 2, 2, 2)
    assert torch.allclose(Seen().images(pixels, 7), torch.from_numpy(pixels).float() / 7)
    seen = Seen((0, 255), (100.0,), (50.0, 25.0)).for_channels(2)
    want = (torch.from_numpy(pixels) / 7 * 255 - 100) / torch.tensor([50.0, 25.0]).view(-1, 1, 1)
    assert torch.allclose(seen.images(pixels, 7), want.float(), atol=1e-5)
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in seen.of_unit())
    assert torch.allclose((torch.from_numpy(pixels) / 7 - mean) / std, want.float(), atol=1e-5)
    assert str(seen) == "(0..255 - mean) / std, mean 100, 100, std 50, 25"
    assert Seen().for_channels(3).plain and not Seen((-1, 1)).for_channels(3).plain
    assert [str(s) for s in Seen(assumed=True).for_channels(1).others(15)] == ["0..15", "-1..1"]
    with pytest.raises(SeenError, match="--mean has 2 values, but an image has 3 channels"):
        seen.for_channels(3)


def test_noise_of_layers() -> None:
    """A layer of which one channel is right, one half a step off, and one silent."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 3, bias=False), nn.ReLU(), nn.Linear(3, 2, bias=False)).eval()
    for layer, weight in ((model[1], [[1.0, 0], [0, 2.0], [-1, -1]]), (model[3], [[1.0, 0, 0], [0, 1, 0]])):
        layer.weight.data = torch.tensor(weight)
    pixels = np.array([[[[4]], [[6]]], [[[8]], [[2]]]])
    network = Network((
        Input(name="input", shape=(2, 1, 1), high=15),
        Linear(name="1", source="input", weight=[[1, 0], [0, 1], [0, 0]], weight_bits=2),
        Requant(name="2", source="1", bias=[0, 0, 0], shift=[1, 0, 0], lo=0, hi=15),
        Linear(name="3", source="2", weight=[[1, 0, 0], [0, 1, 0]], weight_bits=2),
        Readout(name="readout", source="3", bias=[0, 0])), steps=1)  # fmt: skip
    layers = read(model, (2, 1, 1)).layers
    images = torch.from_numpy(pixels).float() / 15
    found = compare(network, layers, pixels, images)
    assert [(layer.name, layer.decibels, layer.silent) for layer in found.layers] == [("2", 120.0, 1 / 3)]
    assert found.integers.tolist() == [1, 0] and np.array_equal(found.floats, float_classes(layers, images))
    off = compare(network, layers, pixels, images + torch.tensor([[[[0.1]], [[0.0]]], [[[0.0]], [[0.0]]]]))
    y = images[:, 0, 0, 0] + torch.tensor([0.1, 0.0])
    x = torch.tensor([2.0, 4.0])
    lost = (y - x * (x @ y) / (x @ x)).square().sum()
    signal = y.square().sum() + (2 * images[:, 1]).square().sum()
    assert off.layers[0].decibels == pytest.approx(10 * torch.log10(signal / lost).item(), abs=1e-3)
