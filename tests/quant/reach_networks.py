"""Networks and frames for what frames reach, and the reach of them."""

from __future__ import annotations

import numpy as np

from spikeloom.gen.lowering.counts import counted
from spikeloom.quant import golden
from spikeloom.quant.analysis.reach import Reach
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
from spikeloom.quant.ir.ops.staircase import Staircase


def reached(network: Network, frames: np.ndarray, counts: bool = True, size: int = 2) -> Reach:
    """The reach of ``frames``, a few at a time."""
    reach = Reach(network, counted(network) if counts else ())
    for start in range(0, len(frames), size):
        reach.add(golden.run(network, frames[start : start + size]).outputs)
    assert reach.frames == len(frames)
    return reach


def swapped(network: Network, node: Node) -> Network:
    """``network`` with ``node`` in the place of the one of its name."""
    return Network(tuple(node if n.name == node.name else n for n in network), network.steps)


def quantised(seed: int, shift: tuple[int, int] = (-2, 5), lo: int = -7, hi: int = 7) -> Network:
    """Values: a convolution, a maximum, a residual sum, quantised logits."""
    rng = np.random.default_rng(seed)

    def quant(name: str, source: str, channels: int) -> Requant:
        bias, shifts = rng.integers(-20, 21, channels), rng.integers(*shift, channels)
        return Requant(name=name, source=source, bias=bias, shift=shifts, lo=lo, hi=hi)

    def conv(name: str, source: str, shape: tuple[int, ...], **geometry: int) -> Conv2d:
        return Conv2d(name=name, source=source, weight=rng.integers(-3, 4, shape), weight_bits=3, **geometry)

    return Network((
        Input(name="input", shape=(2, 5, 6), high=3),
        conv("conv", "input", (4, 2, 3, 3), padding=1),
        quant("act", "conv", 4),
        MaxPool(name="pool", source="act", kernel=2, stride=1),
        conv("next", "pool", (5, 4, 1, 1), stride=2),
        Gain(name="skip", source="pool", gain=rng.integers(-3, 4, 5), stride=2, offset=1),
        Add(name="add", source="next", other="skip"),
        quant("act2", "add", 5),
        SumPool(name="sum", source="act2", kernel=2, stride=1),
        Flatten(name="flat", source="sum"),
        Linear(name="last", source="flat", weight=rng.integers(-3, 4, (3, 10)), weight_bits=3),
        quant("logits", "last", 3),
        Readout(name="out", source="logits", bias=rng.integers(-2, 3, 3)),
    ), steps=1)  # fmt: skip


def pixels(network: Network, seed: int, count: int = 4, share: float = 0.6) -> np.ndarray:
    """Random frames, a share of whose pixels is not 0."""
    rng = np.random.default_rng(seed)
    shape = (count, *network.input.shape)
    return rng.integers(0, network.input.high + 1, shape) * (rng.random(shape) < share)


def spiking(seed: int = 0, rule: str = "causal", steps: int = 3) -> Network:
    """Spikes: a strided convolution, a maximum and a sum over windows, a residual sum, two read-outs."""
    rng = np.random.default_rng(seed)

    def neurons(name: str, source: str, channels: int, rule: str) -> IF:
        threshold = rng.integers(2, 9, channels)
        bias, v0 = rng.integers(-1, 2, channels), threshold // 2
        return IF(name=name, source=source, threshold=threshold, bias=bias, v0=v0, rule=rule)

    def synapse(kind: type, name: str, source: str, shape: tuple[int, ...], **geometry: int) -> Node:
        return kind(name=name, source=source, weight=rng.integers(-3, 4, shape), weight_bits=3, **geometry)

    return Network((
        Input(name="input", shape=(1, 6, 7), high=3),
        synapse(Conv2d, "conv", "input", (3, 1, 3, 3), padding=1),
        neurons("if1", "conv", 3, rule),
        *([MaxPool(name="pool", source="if1", kernel=2, stride=1)] if rule != "signed" else []),
        synapse(Conv2d, "next", "pool" if rule != "signed" else "if1", (3, 3, 3, 3), padding=1, stride=2),
        Gain(name="skip", source="pool" if rule != "signed" else "if1", gain=rng.integers(-3, 4, 3), stride=2),
        Add(name="add", source="next", other="skip"),
        neurons("if2", "add", 3, rule),
        SumPool(name="sum", source="if2", kernel=2, stride=1),
        Flatten(name="flat", source="sum"),
        synapse(Linear, "last", "flat", (4, 12 if rule != "signed" else 18)),
        Readout(name="out", source="last", bias=rng.integers(-2, 3, 4)),
    ), steps=steps)  # fmt: skip


def stairs(seed: int, count: int = 7, valued: bool = False) -> Network:
    """The quantised network with staircases, of which some thresholds are equal; ``valued``: few values, and in every
    second one those of all channels."""
    network, rng = quantised(seed), np.random.default_rng(seed)
    for k, node in enumerate(network):
        if isinstance(node, Requant):
            threshold = np.sort(rng.integers(-30, 31, (len(node.bias), count)))
            rows = (len(node.bias), count + 1)
            values = rng.integers(-2, 3, rows[k % 2 :]) if valued else None
            low = 0 if valued else -(count // 2)
            other = Staircase(name=node.name, source=node.source, threshold=threshold, low=low, values=values)
            network = swapped(network, other)
    return network
