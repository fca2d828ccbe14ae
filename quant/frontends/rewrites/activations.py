"""Activations of values: left out where they change nothing, else neurons of their own."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from ..layers import Activation, Layer, Passing, Sum, Weights
from .graph import Graph

__all__ = ["activations"]


def activations(graph: Graph) -> Graph:
    """``graph`` with currents before every activation: what an activation of values gives already is handed on, and
    before any other one stands a layer of a weight of 1 a channel."""
    new, renamed = list[Layer](), dict[str, str]()
    lows = _lows(graph)
    for layer in graph.layers:
        source = layer.sources[0]
        before = graph.kinds.get(source)
        if not isinstance(layer, Activation) or isinstance(before, Weights | Sum) or _moves(graph, layer):
            new.append(layer)
        elif layer.qcfs is None and layer.low <= lows[source] and layer.high == math.inf:
            renamed[layer.name] = source
        else:
            c, unit = graph.shapes[source][0], graph.fresh(f"{layer.name} unit")
            new.append(graph.depthwise(unit, source, torch.ones(c), torch.zeros(c)))
            new.append(replace(layer, sources=(unit,)))
    return graph.changed(new, renamed) if renamed or len(new) > len(graph.layers) else graph


def _moves(graph: Graph, layer: Activation) -> bool:
    """Whether ``layer`` moves in front of the pool that it takes (``structure.check``)."""
    pool = graph.kinds.get(layer.sources[0])
    return (
        isinstance(pool, Passing)
        and pool.rising
        and isinstance(graph.kinds.get(pool.sources[0]), Weights | Sum)
        and graph.takers[pool.name] == [layer]
    )


def _lows(graph: Graph) -> dict[str, float]:
    """A bound of what every layer gives, from below: 0 for the image, and behind activations and pools of such."""
    lows = {"": 0.0 if graph.normalised is None else -math.inf}
    for layer in graph.layers:
        if isinstance(layer, Activation):
            lows[layer.name] = 0.0 if layer.qcfs is not None else layer.low
        elif isinstance(layer, Passing):
            low = min(lows[source] for source in layer.sources)
            lows[layer.name] = 0.0 if low >= 0 else low if layer.rising or not layer.adds else -math.inf
        else:
            lows[layer.name] = -math.inf
    return lows
