"""Three small designs whose Verilog is mutated: together they have every core of the generator in it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spikeloom.gen.design import Design
from spikeloom.gen.folding.fold import Fold
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
    Readout,
    Requant,
    SumPool,
)

__all__ = ["DESIGNS", "frames_of"]


def _spikes() -> Design:
    """Causal neurons, spikes of single steps, a window that skips nothing, a pool of spikes."""
    rng = np.random.default_rng(1)
    network = Network(
        (
            Input(name="input", shape=(1, 6, 6), high=15),
            Conv2d(name="conv1", source="input", weight=rng.integers(-7, 8, (4, 1, 3, 3)), weight_bits=4, padding=1),
            IF(
                name="if1",
                source="conv1",
                threshold=rng.integers(30, 60, 4),
                bias=rng.integers(-5, 6, 4),
                v0=rng.integers(5, 20, 4),
            ),
            MaxPool(name="pool", source="if1", kernel=2, stride=2),
            Flatten(name="flat", source="pool"),
            Linear(name="fc", source="flat", weight=rng.integers(-7, 8, (5, 36)), weight_bits=4),
            Readout(name="out", source="fc", bias=rng.integers(-5, 6, 5)),
        ),
        steps=4,
    )
    folds = {"conv1": Fold(2, 1, 1), "pool": Fold(2, 2, 1), "fc": Fold(5, 1, 1)}
    return Design(network, folds, counts=False)


def _residual() -> Design:
    """Lossless neurons, counts, a residual block with a gain in its shortcut, all-zero words skipped."""
    rng = np.random.default_rng(2)

    def fire(name: str, source: str, level: int) -> IF:
        threshold = rng.integers(level, 2 * level, 4)
        bias = rng.integers(-9, 10, 4)
        return IF(name=name, source=source, threshold=threshold, bias=bias, v0=threshold // 2, rule="lossless")

    def conv(name: str, source: str, inputs: int) -> Conv2d:
        return Conv2d(
            name=name, source=source, weight=rng.integers(-7, 8, (4, inputs, 3, 3)), weight_bits=4, padding=1
        )

    network = Network(
        (
            Input(name="input", shape=(2, 5, 4), high=15),
            conv("first", "input", 2),
            fire("first_if", "first", 60),
            conv("inner", "first_if", 4),
            Gain(name="skip", source="first_if", gain=rng.integers(5, 30, 4)),
            Add(name="sum", source="inner", other="skip"),
            fire("sum_if", "sum", 25),
            Flatten(name="flat", source="sum_if"),
            Linear(name="last", source="flat", weight=rng.integers(-7, 8, (3, 80)), weight_bits=4),
            Readout(name="out", source="last", bias=rng.integers(-9, 10, 3)),
        ),
        steps=3,
    )
    return Design(network, {"first": Fold(2, 1, 1), "inner": Fold(2, 2, 1), "last": Fold(1, 4, 1, skip=True)})


def _levels() -> Design:
    """Quantised activations of one step, shifts of both signs, sums in pools, several output groups."""
    rng = np.random.default_rng(3)
    network = Network(
        (
            Input(name="input", shape=(1, 6, 6), high=15),
            Conv2d(name="conv", source="input", weight=rng.integers(-7, 8, (4, 1, 3, 3)), weight_bits=4),
            Requant(
                name="quant",
                source="conv",
                bias=rng.integers(-40, 40, 4),
                shift=np.array([3, 4, 3, 5]),
                lo=-7,
                hi=7,
            ),
            SumPool(name="pool", source="quant", kernel=2, stride=2),
            Flatten(name="flat", source="pool"),
            Linear(name="last", source="flat", weight=rng.integers(-7, 8, (4, 16)), weight_bits=4),
            Readout(name="out", source="last", bias=rng.integers(-9, 10, 4)),
        ),
        steps=1,
    )
    return Design(network, {"conv": Fold(2, 1, 1), "pool": Fold(2, 2, 1), "last": Fold(2, 4, 1)})


DESIGNS: dict[str, Callable[[], Design]] = {"spikes": _spikes, "residual": _residual, "levels": _levels}


def frames_of(design: Design, count: int, seed: int) -> np.ndarray:
    """Random frames of all brightnesses, black, white and half black ones among them."""
    rng = np.random.default_rng(seed)
    high, shape = design.network.input.high, design.network.input.shape
    frames = rng.integers(0, high + 1, (count, *shape))
    brightest = rng.integers(0, high + 1, (count, 1, 1, 1))
    frames = np.minimum(frames, np.where(rng.random(brightest.shape) < 0.5, brightest, high))
    frames[rng.random((count, *shape)) < rng.choice([0, 0.3, 0.9], (count, 1, 1, 1))] = 0
    if count > 4:
        frames[1], frames[3] = 0, high
    return frames
