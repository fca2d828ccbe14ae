"""The designs on which the cost model is compared with Yosys: a fixed set with all kinds of stages, made from seeds.

The standing works and the network for MNIST at several cycle targets, and small random networks (spiking by every rule,
quantised, residual, with pools) with random folds, so that folds are there which no search would choose.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from spikeloom.gen.design import Design
from spikeloom.gen.folding.fold import Fold
from spikeloom.quant.ir.netfile import load
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import (
    IF,
    Add,
    Conv2d,
    Flatten,
    Gain,
    Input,
    Linear,
    MaxPool,
    Node,
    Readout,
    Requant,
    SumPool,
)

from .works import FOLDER, WORKS

__all__ = ["NAMES", "SMALL", "design", "random_network", "residual_network"]

MNIST = FOLDER.parent / "models" / "mnist-integernet-w4a4.safetensors"

FOLDS: dict[str, dict[str, list[Any]]] = json.loads((FOLDER / "cost_folds.json").read_text())
"""The folds (outputs, inputs, steps, and of some skip, logic, pixels, multiply, packed) of every stage of every design.
They are written down, so that the set stays as it is when the model changes: those of the standing works and of the
network for MNIST were found for the cycle target in the name, all others drawn at random from those of at most 2,500
LUT4-equivalents; some of either have got pixels and multipliers since."""

NAMES = list(FOLDS)
"""The designs by name: the network, and its cycle target or seed."""

SMALL = ["A 512", "lossless 2", "quantised 0"]
"""Those of them that are synthesised in a few seconds."""


class _Builder:
    """Collects the nodes of a random network."""

    def __init__(self, seed: int, kind: str, steps: int) -> None:
        self.rng, self.kind, self.steps = np.random.default_rng(seed), kind, steps
        self.nodes: list[Node] = []

    @property
    def end(self) -> str:
        return self.nodes[-1].name

    def conv(self, name: str, shape: tuple[int, ...], bits: int, stride: int = 1, source: str = "") -> None:
        top = (1 << (bits - 1)) - 1
        weight = self.rng.integers(-top, top + 1, shape)
        if len(shape) == 2:
            self.nodes.append(Linear(name=name, source=source or self.end, weight=weight, weight_bits=bits))
            return
        source, padding = source or self.end, shape[2] // 2
        self.nodes.append(
            Conv2d(name=name, source=source, weight=weight, weight_bits=bits, stride=stride, padding=padding)
        )

    def fire(self, channels: int, scale: int) -> None:
        rng, name = self.rng, f"{self.end}_out"
        if self.kind == "quantised":
            bias, shift = rng.integers(-scale, scale + 1, channels), np.full(channels, int(rng.integers(2, 5)))
            self.nodes.append(Requant(name=name, source=self.end, bias=bias, shift=shift, lo=0, hi=15))
            return
        threshold = rng.integers(scale // 2 + 1, scale + 2, channels)
        rule = self.kind if self.kind in ("lossless", "signed") else "causal"
        self.nodes.append(
            IF(
                name=name,
                source=self.end,
                threshold=threshold,
                bias=rng.integers(-scale, scale + 1, channels) // 4,
                v0=threshold // 2,
                rule=rule,
                strict=False,
            )
        )

    def answer(self, inputs: int, classes: int, bits: int) -> Network:
        self.nodes.append(Flatten(name="flat", source=self.end))
        self.conv("classes", (classes, inputs), bits)
        self.nodes.append(Readout(name="readout", source="classes", bias=self.rng.integers(-20, 21, classes)))
        return Network(tuple(self.nodes), self.steps)


def random_network(kind: str, seed: int) -> Network:
    """Two convolutions with a pool between them, and a linear layer, of neurons or quantisers as ``kind`` says."""
    rng = np.random.default_rng([seed, len(kind)])
    steps = 1 if kind == "quantised" else int(rng.choice([2, 3, 4, 6]))
    net, bits = _Builder(seed, kind, steps), int(rng.choice([2, 4, 4, 6]))
    size, c0, c1, c2 = (
        int(rng.choice([6, 8, 12])),
        int(rng.choice([1, 3])),
        *(int(rng.choice([4, 6, 8, 12])) for _ in "ab"),
    )
    net.nodes.append(Input(name="input", shape=(c0, size, size), high=int(rng.choice([1, 15, 255]))))
    net.conv("conv1", (c1, c0, 3, 3), bits)
    net.fire(c1, 20)
    pool = SumPool if kind == "signed" or rng.integers(2) else MaxPool
    net.nodes.append(pool(name="pool", source=net.end, kernel=2, stride=2))
    kernel = int(rng.choice([1, 3]))
    net.conv("conv2", (c2, c1, kernel, kernel), bits)
    net.fire(c2, 15 * kernel)
    return net.answer(c2 * (size // 2) ** 2, int(rng.choice([4, 10])), bits)


def residual_network(seed: int, channels: int = 4, size: int = 8, steps: int = 4) -> Network:
    """A convolution, a block with an identity shortcut, one with a strided and zero-padded shortcut, a pool."""
    net, c = _Builder(seed, "causal", steps), channels
    net.nodes.append(Input(name="input", shape=(3, size, size), high=255))
    net.conv("stem", (c, 3, 3, 3), 4)
    net.fire(c, 900)
    for name, inner, outer, stride in (("one", c, c, 1), ("two", c, 2 * c, 2)):
        entry = net.end
        net.conv(f"{name}_a", (outer, inner, 3, 3), 4, stride)
        net.fire(outer, 20)
        net.conv(f"{name}_b", (outer, outer, 3, 3), 4)
        gain = np.full(outer, 16) if stride == 1 else net.rng.integers(8, 24, outer)
        offset = (outer - inner) // 2
        net.nodes.append(Gain(name=f"{name}_skip", source=entry, gain=gain, stride=stride, offset=offset))
        net.nodes.append(Add(name=f"{name}_add", source=f"{name}_b", other=f"{name}_skip"))
        net.fire(outer, 30)
    net.nodes.append(SumPool(name="pool", source=net.end, kernel=size // 2, stride=size // 2))
    return net.answer(2 * c, 10, 4)


def design(name: str) -> Design:
    """The design called ``name``."""
    kind, number = name.split()
    if kind == "mnist":
        network = load(MNIST)
    elif kind in WORKS:
        network = WORKS[kind]().network
    else:
        network = residual_network(int(number)) if kind == "residual" else random_network(kind, int(number))
    return Design(network, {stage: Fold(*fold) for stage, fold in FOLDS[name].items()})
