"""Upsampling by whole factors: the node, the forms that modules have of it, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_loops import Builder, compare, naive_upsample, probe
from torch import Tensor, nn

from spikeloom import api
from spikeloom.quant import golden, reference
from spikeloom.quant.conversion.integers import convert, integer_network
from spikeloom.quant.conversion.reals import layers_of
from spikeloom.quant.frontends.layers import UnsupportedLayer
from spikeloom.quant.frontends.torch_fx.graph import read, trace
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import Conv2d, Flatten, Input, Linear, NetworkError, Readout, Requant
from spikeloom.quant.ir.ops.upsample import Upsample
from spikeloom.quant.methods import integernet, qcfs, spiking_resnet
from spikeloom.quant.qat.integer_graph import IntegerGraph

SHAPE = (1, 8, 12)


@pytest.mark.parametrize("factor", [2, (1, 3), (4, 1), (3, 2)])
def test_the_node_is_what_pytorch_calls_nearest(factor: Any) -> None:
    node = Upsample(name="up", source="in", factor=factor)
    x = np.random.default_rng(0).integers(-9, 10, (2, 3, 4, 5))
    sides = (factor, factor) if isinstance(factor, int) else factor
    want = F.interpolate(torch.from_numpy(x).double(), scale_factor=tuple(map(float, sides)), mode="nearest")
    assert np.array_equal(node.reference_step(x), want.numpy())
    assert np.array_equal(np.stack([naive_upsample(node, one) for one in x]), want.numpy())


@pytest.mark.parametrize("rule", ["causal", "signed", "lossless", "values"])
def test_golden_models_agree_with_loops(rule: str) -> None:
    b, factor = Builder(len(rule), shape=(2, 3, 4)), (2, 3)
    b.add(Conv2d, weight=b.weights(3, 2, 2, 2), weight_bits=3, padding=1)
    if rule == "values":
        b.add(Requant, bias=[0, 1, 2], shift=[2, 1, 3], lo=-7, hi=7)
    else:
        b.fire(3, rule=rule)
    b.add(Upsample, factor=factor).add(Conv2d, weight=b.weights(2, 3, 2, 3), weight_bits=3)
    b.add(Requant, bias=[1, 1], shift=[1, 2], lo=0, hi=15) if rule == "values" else b.fire(2, rule=rule)
    steps = 1 if rule == "values" else 4
    b.add(Flatten).add(Linear, weight=b.weights(3, probe(b, steps)), weight_bits=3).add(Readout, bias=b.weights(3))
    compare(b.network(steps), 0)


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        (0, "up: factor must be a positive integer, not 0"),
        ((2, -1), "up: factor must be a positive integer, not -1"),
        (1.5, "up: factor"),
        ((1, 2, 3), "up: factor"),
        (1 << 17, "up: factor must be at most 65,536, not 131,072"),
        (1 << 13, r"up: gives [\d,]+ numbers a frame, supported: 67,108,864"),
    ],
)
def test_the_node_refuses(factor: Any, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        up = Upsample(name="up", source="in", factor=factor)
        size = 1 << 30
        end = Linear(name="fc", source="flat", weight=np.ones((1, 1), int), weight_bits=2)
        Network((Input(name="in", shape=(1, 4, 4), high=1), up, Flatten(name="flat", source="up"), end,
                 Readout(name="out", source="fc", bias=[size])), 1)  # fmt: skip


class Decoder(nn.Module):
    """An encoder of two levels, and a decoder that upsamples as ``way`` does and takes what the encoder had."""

    def __init__(self, way: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.way, self.up = way, nn.Upsample(scale_factor=2)
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU())
        self.third = nn.Sequential(nn.Conv2d(10, 4, 3, padding=1), nn.ReLU())
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.first(x)
        b = self.second(F.max_pool2d(a, 2))
        b = self.up(b) if self.way is None else self.way(b, a, x)
        return self.head(self.third(torch.cat([b, a], 1)))


WAYS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor] | None] = {
    "module": None,
    "factor": lambda b, a, x: F.interpolate(b, scale_factor=2, mode="nearest"),
    "factors": lambda b, a, x: F.interpolate(b, scale_factor=(2.0, 2), mode="nearest-exact"),
    "size": lambda b, a, x: F.interpolate(b, size=(8, 12)),
    "size of another": lambda b, a, x: F.interpolate(b, size=a.shape[-2:]),
    "sizes of another": lambda b, a, x: F.interpolate(b, (a.size(2), a.size(3))),
    "size of the image": lambda b, a, x: F.interpolate(b, x.shape[2:]),
}


def decoder(way: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None) -> nn.Module:
    torch.manual_seed(0)
    return Decoder(way).eval()


def pixels(count: int = 8) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


@pytest.mark.parametrize("way", WAYS)
def test_all_ways_to_say_it_are_one_network(way: str) -> None:
    """Whether the layers give what the module gives, ``convert`` itself compares."""
    network = api.convert(decoder(WAYS[way]), calibrate=pixels(), method="ptq", bits=5)
    (up,) = (node for node in network if isinstance(node, Upsample))
    assert up.factor == 2 and network.signals[up.name].shape == (6, 8, 12)
    module = golden.run(api.convert(decoder(), calibrate=pixels(), method="ptq", bits=5), pixels(), keep=())
    found, other = golden.run(network, pixels(), keep=()), reference.run(network, pixels(), keep=())
    (name,) = (node.name for node in network.maps)
    assert np.array_equal(found[name], other[name]) and found[name].std() > 0
    assert np.array_equal(found[name], module[name])


REFUSED: dict[str, tuple[Callable[[Tensor, Tensor, Tensor], Tensor], str]] = {
    "bilinear": (lambda b, a, x: F.interpolate(b, scale_factor=2, mode="bilinear"), "with mode='bilinear'"),
    "a fraction": (lambda b, a, x: F.interpolate(b, scale_factor=1.5), "with scale_factor=1.5"),
    "smaller": (lambda b, a, x: F.interpolate(b, scale_factor=0.5), "with scale_factor=0.5"),
    "three": (lambda b, a, x: F.interpolate(b, scale_factor=(1, 2, 2)), r"with scale_factor=\(1, 2, 2\)"),
    "an odd size": (lambda b, a, x: F.interpolate(b, size=(9, 12)), "of a map of 4x6 to 9x12"),
    "a smaller size": (lambda b, a, x: F.interpolate(b, size=(2, 3)), "of a map of 4x6 to 2x3"),
}


@pytest.mark.parametrize("way", REFUSED)
def test_what_repeats_no_pixels_is_refused(way: str) -> None:
    forward, what = REFUSED[way]
    with pytest.raises(UnsupportedLayer, match=f"^interpolate: upsampling {what} is not supported; supported: each"):
        read(decoder(forward), SHAPE)


def test_a_size_needs_that_of_the_image() -> None:
    with pytest.raises(UnsupportedLayer, match=r"^0.interpolate: upsampling of a map of unknown size .* the shape"):
        read(nn.Sequential(Decoder(WAYS["size"])), None)


def classes(act: Callable[[], nn.Module] = nn.ReLU) -> nn.Module:
    """A network of classes with an upsampling between its convolution and the activation of that."""
    torch.manual_seed(3)
    return nn.Sequential(
        *(nn.Conv2d(1, 3, 3, 2, 1, bias=False), nn.BatchNorm2d(3), nn.Upsample(scale_factor=2), act()),
        *(nn.Conv2d(3, 3, 3, padding=1), act(), nn.Flatten(), nn.Linear(288, 4)),
    )


def trained(rule: str) -> Network:
    return convert(qcfs.prepare(classes(), 4), shape=SHAPE, input_high=255, steps=4, weight_bits=6, rule=rule)


def integers() -> Network:
    made = integernet.prepare(classes(), 4, SHAPE)
    made.train()(torch.from_numpy(pixels()).float())
    return integernet.convert(made.eval(), shape=SHAPE)


METHODS: dict[str, Callable[[], Network]] = {
    "qcfs": lambda: trained("causal"),
    "integernet": integers,
    "spiking_resnet": lambda: spiking_resnet.convert(classes().eval(), pixels(), shape=SHAPE, input_high=255, steps=8),
    "ptq": lambda: api.convert(classes().eval(), calibrate=pixels(), method="ptq", steps=5),
}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_it_behind_the_activation(method: str) -> None:
    network = METHODS[method]()
    (up,) = (node for node in network if isinstance(node, Upsample))
    assert network.signals[up.source].kind == ("values" if method == "integernet" else "spikes")
    found, other = golden.run(network, pixels(3)), reference.run(network, pixels(3))
    assert all(np.array_equal(found[node.name], other[node.name]) for node in network)


def test_a_network_with_it_is_trained_further() -> None:
    network = trained("lossless")
    settings = {"input_high": 255, "steps": 4, "weight_bits": 6, "rule": "lossless", "shape": SHAPE}
    assert integer_network(IntegerGraph(layers_of(network), **settings), shape=SHAPE).hash == network.hash


def test_lines_grow_along_their_one_row() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(2, 3, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=3),
                          nn.Conv1d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(44, 3)).eval()  # fmt: skip
    (layer,) = (layer for layer in trace(model, (2, 1, 8)) if hasattr(layer, "factor"))
    assert re.search(r"factor=\(1, 3\)", repr(layer))
