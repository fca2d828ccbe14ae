"""A node of every kind, and networks around them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import (
    IF,
    Add,
    Conv2d,
    Flatten,
    Gain,
    Input,
    Linear,
    MapReadout,
    MaxPool,
    NetworkError,
    Node,
    Readout,
    Requant,
    SumPool,
)
from spikeloom.quant.ir.ops.staircase import Staircase
from spikeloom.quant.ir.ops.upsample import Upsample

ONE = {
    "Input": Input(name="in", shape=(2, 4, 4), high=15),
    "Conv2d": Conv2d(
        name="conv",
        source="in",
        weight=np.arange(-8, 8).reshape(1, 1, 4, 4).repeat(2, 1),
        weight_bits=5,
        stride=2,
        padding=3,
    ),
    "Gain": Gain(name="gain", source="in", gain=[0, 5, -3], stride=2, offset=1),
    "Add": Add(name="add", source="gain", other="tap"),
    "Linear": Linear(name="linear", source="flat", weight=np.array([[-2, 1, 0, 1, 1, 1, 1, 1]]), weight_bits=2),
    "IF": IF(name="if", source="conv", threshold=[3], bias=[-1], v0=[1], rule="lossless", strict=True, low=-1),
    "Requant": Requant(name="requant", source="conv", bias=[-5], shift=[-2], lo=-7, hi=7),
    "Staircase": Staircase(name="staircase", source="conv", threshold=[[-9, 4, 4, 30]], low=-1),
    "SumPool": SumPool(name="sum", source="in", kernel=2, stride=1),
    "MaxPool": MaxPool(name="max", source="in", kernel=3, stride=1),
    "Upsample": Upsample(name="up", source="max", factor=(3, 1)),
    "Flatten": Flatten(name="flat", source="max"),
    "Readout": Readout(name="readout", source="linear", bias=[40]),
    "MapReadout": MapReadout(name="map", source="conv", bias=[40]),
}
BEFORE = {
    "Input": [],
    "Conv2d": ["Input"],
    "IF": ["Input", "Conv2d"],
    "Requant": ["Input", "Conv2d"],
    "Staircase": ["Input", "Conv2d"],
    "Gain": ["Input"],
    "Add": ["Input", "Gain", "Tap"],
    "SumPool": ["Input"],
    "MaxPool": ["Input"],
    "Upsample": ["Input", "MaxPool"],
    "Flatten": ["Input", "MaxPool"],
    "Linear": ["Input", "MaxPool", "Flatten"],
    "Readout": ["Input", "MaxPool", "Flatten", "Linear"],
    "MapReadout": ["Input", "Conv2d"],
}
TAP = Conv2d(name="tap", source="in", weight=np.ones((3, 2, 1, 1), int), weight_bits=2, stride=2)
FIRED = {"Conv2d": 1, "Gain": 3, "Add": 3}
SIZE = {
    "Input": 32,
    "Conv2d": 16,
    "Gain": 12,
    "Add": 12,
    "IF": 16,
    "Requant": 16,
    "Staircase": 16,
    "SumPool": 18,
    "MaxPool": 8,
    "Upsample": 24,
    "Flatten": 8,
}


def around(node: Node) -> Network:
    """A network that holds ``node`` and ends as every network must."""
    kind = type(node).__name__
    nodes = [*({**ONE, "Tap": TAP}[name] for name in BEFORE[kind]), node]
    if channels := FIRED.get(kind):
        one = np.ones(channels, int)
        nodes.append(IF(name="fire", source=node.name, threshold=one, bias=one, v0=one))
    if kind in SIZE:
        nodes.append(Flatten(name="last_flat", source=nodes[-1].name))
        nodes.append(Linear(name="last", source="last_flat", weight=np.ones((1, SIZE[kind]), int), weight_bits=3))
    if kind not in ("Readout", "MapReadout"):
        nodes.append(Readout(name="end", source=nodes[-1].name, bias=[0]))
    return Network(nodes=tuple(nodes), steps=1, meta={"a": "b"})


def graph(*nodes: Node, steps: int = 2) -> Network:
    """An input of 2 channels, spikes "s" of its two, ``nodes``, and an end behind the last of them, which fires."""
    first = Conv2d(name="c", source="in", weight=np.ones((2, 2, 1, 1), int), weight_bits=2)
    start = (replace(ONE["Input"], shape=(2, 4, 4)), first, fire("s", "c"))
    size = 1
    while True:  # the size of the vector at the end
        flat = Flatten(name="flat", source=nodes[-1].name)
        end = Linear(name="fc", source="flat", weight=np.ones((1, size), int), weight_bits=2)
        try:
            return Network(nodes=(*start, *nodes, flat, end, Readout(name="r", source="fc", bias=[0])), steps=steps)
        except NetworkError as error:
            if "fc: its weights" not in str(error):
                raise
            size = int(str(error).split()[-1])


def fire(name: str, source: str, channels: int = 2, **fields) -> IF:
    one = np.ones(channels, int)
    return IF(**{"name": name, "source": source, "threshold": one, "bias": 0 * one, "v0": 0 * one, **fields})


def conv(name: str, source: str, channels: int = 2, stride: int = 1, **fields) -> Conv2d:
    return Conv2d(
        **{"name": name, "source": source, "weight": np.ones((channels, 2, 1, 1), int), "weight_bits": 2, **fields},
        stride=stride,
    )
