"""Sums of values alone: one of them goes through weights of 1, for a sum in gates has a layer with weights in it."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..layers import Currents, Layer, Shortcut, Sum, Weights
from .graph import Graph

__all__ = ["sums"]


def sums(graph: Graph) -> Graph:
    """``graph`` with a layer with weights in every sum, but for those of strided or widened shortcuts alone."""
    new, weighted = list[Layer](), set[str]()
    for layer in graph.layers:
        if isinstance(layer, Weights):
            weighted.add(layer.name)
        elif isinstance(layer, Sum):
            if not weighted & set(layer.sources) and (one := _through(graph, layer, new)) is not None:
                layer = replace(layer, sources=(one, *layer.sources[1:]))
            weighted.add(layer.name)
        new.append(layer)
    return graph.changed(new) if len(new) > len(graph.layers) else graph


def _through(graph: Graph, layer: Sum, new: list[Layer]) -> str | None:
    """Append the first source of ``layer``, through weights of 1, to ``new``; returns the name, None where none can."""
    source = layer.sources[0]
    before = graph.kinds.get(source)
    if isinstance(before, Shortcut) and (before.stride, before.before, before.after) == (1, 0, 0):
        source = before.sources[0]
    elif isinstance(before, Currents):
        return None
    c, name = graph.shapes[source][0], graph.fresh(f"{layer.name} ({source or 'image'})")
    new.append(graph.depthwise(name, source, torch.ones(c), torch.zeros(c)))
    return name
