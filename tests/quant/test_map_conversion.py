"""Models that give maps: a tensor, a tuple, a list or a dict of them, converted and compared with what they give."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spikeloom
from spikeloom.quant import golden
from spikeloom.quant.frontends.layers import UnsupportedLayer
from spikeloom.quant.frontends.torch_fx.graph import read, trace
from spikeloom.quant.frontends.torch_fx.results import named
from spikeloom.quant.ir import netfile
from spikeloom.quant.methods.registry import ConversionError

PIXELS = np.random.default_rng(0).integers(0, 256, (48, 1, 8, 8)).astype(np.uint8)


class Heads(nn.Module):
    """Features at two strides, and what ``make`` gives of the heads of classes and boxes there."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.make = make
        self.one = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU())
        self.cls, self.box = nn.Conv2d(6, 2, 3, padding=1), nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Any:
        a = self.one(x)
        return self.make(self.cls(a), self.box(self.two(a)))


def net(make: Any) -> Heads:
    torch.manual_seed(1)
    return Heads(make).eval()


RESULTS = {
    "dict": (lambda a, b: {"scores": a, "boxes": b}, ["scores", "boxes"]),
    "tuple": (lambda a, b: (a, b), ["cls", "box"]),
    "list": (lambda a, b: [b, a], ["box", "cls"]),
    "nested": (lambda a, b: {"s8": {"cls": a}, "s16": [b]}, ["s8.cls", "s16"]),
    "sum": (lambda a, b: (a, b + b), ["cls", "add"]),
    "activation": (lambda a, b: (torch.relu(a), b), ["relu", "box"]),
    "name of a layer inside": (lambda a, b: {"box": a, "one.2": b}, ["box", "one.2"]),
}


@pytest.mark.parametrize("kind", RESULTS)
@pytest.mark.parametrize("options", [{}, {"steps": 15}], ids=["values", "spikes"])
def test_maps_are_those_of_the_model(kind: str, options: dict[str, int]) -> None:
    """Times their units, which the network keeps."""
    make, names = RESULTS[kind]
    model = net(make)
    network = spikeloom.convert(model, calibrate=PIXELS, **options).network
    assert sorted(node.name for node in network.maps) == sorted(names) and not network.classifies
    units, found = json.loads(network.meta["units"]), golden.run(network, PIXELS[:8].astype(int), keep=())
    with torch.no_grad():
        wanted = [part for _, part in named(model(torch.from_numpy(PIXELS[:8]).float() / 255))]
    for name, want in zip(names, wanted, strict=True):
        got = torch.from_numpy(found[name]) * units[name]
        noise = ((got - want).square().sum() / want.square().sum()).item()
        assert noise < (0.02 if options else 0.001), (name, noise)


def test_one_map() -> None:
    """A tensor (N, C, H, W) is a map; it has the name of the layer that gives it, which gets another one."""
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1))
    network = spikeloom.convert(model, calibrate=PIXELS).network
    assert network.gives == "map 2 2x6x6" and [node.name for node in network][-2:] == ["2 layer", "2"]


def test_a_vector_is_of_classes_as_before() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    assert spikeloom.convert(model, calibrate=PIXELS).network.gives == "3 classes"


def test_a_vector_among_several_is_a_map_of_one_pixel() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.cls = nn.Conv2d(1, 4, 3), nn.Linear(4, 3)
            self.box = nn.Conv2d(4, 2, 1)

        def forward(self, x: Tensor) -> Any:
            x = torch.relu(self.one(x))
            return {"boxes": self.box(x), "classes": self.cls(x.mean((2, 3)))}

    network = spikeloom.convert(Net().eval(), calibrate=PIXELS).network
    assert network.gives == "maps boxes 2x6x6, classes 3x1x1"


def test_a_map_of_one_pixel() -> None:
    """Of a pool, which nothing flattens."""
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    network = spikeloom.convert(model, calibrate=PIXELS).network
    assert network.gives == "map 2 4x1x1"


def test_the_same_result_twice_is_computed_twice() -> None:
    """Currents have one taker."""
    network = spikeloom.convert(net(lambda a, b: (a, a, b)), calibrate=PIXELS).network
    assert [node.name for node in network.maps] == ["cls", "box", "cls_"]


def test_a_file_keeps_maps(tmp_path: Any) -> None:
    network = spikeloom.convert(net(RESULTS["dict"][0]), calibrate=PIXELS).network
    netfile.save(network, tmp_path / "net.safetensors")
    again = netfile.load(tmp_path / "net.safetensors")
    assert again.hash == network.hash and again.meta["units"] == network.meta["units"]


def test_tested_without_classes() -> None:
    """Every map is a layer with a noise; labels mean nothing."""
    made = spikeloom.convert(net(RESULTS["dict"][0]), calibrate=PIXELS, test=(PIXELS[:20], np.arange(20) % 4))
    assert made.agreement is None and not made.accuracy
    assert {"cls", "box"} <= {layer.name for layer in made.layers}


def test_what_maps_lose_is_told_of_the_test_images() -> None:
    """Dark images that set the ranges say nothing of bright ones, which clip."""
    model = net(RESULTS["dict"][0])
    made = spikeloom.convert(model, calibrate=PIXELS // 16, input_bits=8, test=PIXELS[:20])
    told = re.findall(r"(\w+) (-?[\d.]+) dB", made.facts["signal to noise there"])
    assert [name for name, _ in told] == ["scores", "boxes"]
    with torch.no_grad():
        floats = model(torch.from_numpy(PIXELS[:20]).float() / 255)
    units, calibrated = json.loads(made.meta["units"]), {layer.name: layer.decibels for layer in made.layers}
    for (name, decibels), layer in zip(told, ("cls", "box"), strict=True):
        wanted = floats[name].numpy()
        off = wanted - units[name] * spikeloom.outputs(made, PIXELS[:20])[name]
        really = 10 * np.log10((wanted**2).sum() / (off**2).sum())
        assert abs(float(decibels) - really) < 0.1 and really < calibrated[layer] - 10


@pytest.mark.parametrize(("make", "text"), [
    (lambda a, b: (a.softmax(1), b), "softmax or sigmoid of a result that is no vector.*the numbers before it"),
    (lambda a, b: torch.sigmoid(b + 0 * a[:, :, ::2, ::2].sum(1, keepdim=True)), "not supported"),
    (lambda a, b: (torch.cat((a, a), 1), b), "a concatenation.* is not supported; supported: its parts as results"),
    (lambda a, b: (a, 3), "what is no tensor as a result is not supported"),
    (lambda a, b: {}, "what is no tensor as a result is not supported"),
    (lambda a, b: a, "box: a layer whose result nothing takes"),
])  # fmt: skip
def test_what_is_refused(make: Any, text: str) -> None:
    with pytest.raises(UnsupportedLayer, match=text):
        read(net(make), (1, 8, 8))


def test_methods_that_make_no_maps() -> None:
    model = net(RESULTS["dict"][0])
    with pytest.raises(ConversionError, match=r"'spiking' .*gives maps \(scores, boxes\); take ptq"):
        spikeloom.convert(model, calibrate=PIXELS, method="spiking")
    with pytest.raises(UnsupportedLayer, match="gives maps .*which no training here knows"):
        trace(model, (1, 8, 8))
