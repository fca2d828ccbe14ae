"""Depthwise layers in post-training quantisation: what comes seldom in the images is seen, and levels are those
of the channels where that costs nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spikeloom.quant.frontends.torch_fx.graph import read, trace
from spikeloom.quant.methods.ptq import quantise
from spikeloom.quant.methods.ptq.algorithm import _before_depthwise
from spikeloom.quant.methods.ptq.settling import settle
from spikeloom.quant.methods.ptq.settling.forms import Form
from spikeloom.quant.methods.ptq.stages import stages_of


def pixels() -> np.ndarray:
    """Dark noise, and in one image of four a small bright spot."""
    rng = np.random.default_rng(0)
    found = rng.integers(0, 24, (24, 2, 32, 32))
    for image in found[::4]:
        y, x = rng.integers(2, 26, 2)
        image[:, y : y + 3, x : x + 3] = rng.integers(200, 256, (2, 3, 3))
    return found


def decibels() -> float:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.ReLU(),
                        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()  # fmt: skip
    layers = trace(net, (2, 32, 32))
    found = quantise(layers, pixels(), shape=(2, 32, 32), input_high=255, form="values")
    return {layer.name: layer.integers_db for layer in found.layers}["3"]


def test_a_depthwise_layer_sees_what_comes_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its nine inputs alone would ask for 720 places of 24,576, where the spots are hardly among them."""
    ours = decibels()
    monkeypatch.setattr(settle, "FEWEST_PLACES", 1)
    other = decibels()
    assert ours > other + 3 and ours > 30, (ours, other)


class Net(nn.Module):
    """A depthwise layer behind the first, and behind the second one with a pointwise layer beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.act = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1), nn.ReLU()
        self.depth = nn.ModuleList(nn.Conv2d(4, 4, 3, groups=4) for _ in range(2))
        self.other = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.relu(self.depth[0](torch.relu(self.one(x))))
        x = torch.relu(self.two(x))
        return self.depth[1](x), self.other(x)


def test_levels_are_those_of_the_channels_before_depthwise_layers_alone() -> None:
    layers = read(Net().eval(), (1, 9, 9)).layers
    stages = {stage.name: stage for stage in stages_of(layers, Form("values", 255, 1), 8, None, None, None)}
    assert list(stages) == ["relu", "relu_1", "relu_2", "depth.1", "other"]
    assert _before_depthwise(stages) == {"relu"}
