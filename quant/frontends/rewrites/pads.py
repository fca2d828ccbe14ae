"""Zeros around a map as the padding of the windows that take it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...ir.windows import alike, each_side
from ..layers import Layer, Pad, Pool, Weights, refuse
from .activations import lows
from .graph import Graph

__all__ = ["pads"]


def pads(graph: Graph) -> Graph:
    """``graph`` without Pad. Raises UnsupportedLayer where something else than windows takes one, or a max-pool whose
    source can be below 0, whose own padding would be no 0."""
    if not any(isinstance(layer, Pad) for layer in graph.layers):
        return graph
    least, layers, renamed = lows(graph), list[Layer](), dict[str, str]()
    for layer in graph.layers:
        before = graph.kinds.get(layer.sources[0])
        if isinstance(layer, Pad):
            renamed[layer.name] = layer.sources[0]
            if isinstance(before, Pad) or not graph.takers[layer.name]:
                refuse(layer.name, "a pad there", "one directly before a convolution or a pool")
            continue
        for source in layer.sources:
            pad = graph.kinds.get(source)
            if not isinstance(pad, Pad):
                continue
            windows = isinstance(layer, Pool) or (isinstance(layer, Weights) and layer.weight.ndim == 4)
            if not windows or (isinstance(layer, Pool) and layer.rising and least[pad.sources[0]] < 0):
                what = type(layer).__name__ if not windows else "a max-pool of numbers with a sign"
                refuse(pad.name, f"a pad before {what} ({layer.name})", "one directly before a convolution, an average "
                       "pool, or a max-pool of what is never below 0")  # fmt: skip
            assert isinstance(layer, Pool | Weights)
            own = [side for sides in each_side(layer.padding) for side in sides]
            both: Any = alike([a + b for a, b in zip(own, pad.sides, strict=True)])
            layer = replace(layer, padding=both)
        layers.append(layer)
    return graph.changed(layers, renamed)
