"""Activations of values: left out where they change nothing, else neurons of their own."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from ..layers import Activation, Concat, Layer, Pad, Passing, Select, Sum, Weights
from .graph import Graph

__all__ = ["activations", "lows"]


def activations(graph: Graph) -> Graph:
    """``graph`` with currents before every activation: what an activation of values gives already is handed on, and
    before any other one stands a layer of a weight of 1 a channel."""
    new, renamed = list[Layer](), dict[str, str]()
    least = lows(graph)
    for layer in graph.layers:
        source = layer.sources[0]
        before = graph.kinds.get(source)
        if not isinstance(layer, Activation) or isinstance(before, Weights | Sum) or _moves(graph, layer):
            new.append(layer)
        elif type(layer) is Activation and layer.qcfs is None and layer.low <= least[source] and layer.high == math.inf:
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
        and layer.rises
        and isinstance(graph.kinds.get(pool.sources[0]), Weights | Sum)
        and graph.takers[pool.name] == [layer]
    )


def lows(graph: Graph) -> dict[str, float]:
    """A bound of what every layer gives, from below: 0 for the image, and behind activations and pools of such."""
    found = {"": 0.0 if graph.normalised is None else -math.inf}
    for layer in graph.layers:
        if isinstance(layer, Activation):
            found[layer.name] = 0.0 if layer.qcfs is not None else layer.low
        elif isinstance(layer, Passing | Pad | Concat | Select):
            low = min(found[source] for source in layer.sources)
            sums = isinstance(layer, Passing) and layer.adds
            found[layer.name] = 0.0 if low >= 0 else -math.inf if sums else low
        else:
            found[layer.name] = -math.inf
    return found
