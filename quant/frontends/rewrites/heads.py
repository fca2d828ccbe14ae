"""Logits that no Linear gives: a Linear of ones on the diagonal behind them, which counts them as they are.
Maps that no layer with weights gives: a convolution of a weight of 1 a channel behind them."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..layers import Activation, Currents, Flat, Heads, Passing, Weights
from .graph import Graph

__all__ = ["heads"]


def heads(graph: Graph) -> Graph:
    """``graph`` whose logits come from a Linear, or from a sum of Linears, and whose maps come from currents."""
    answer = graph.kinds.get(graph.answer)
    if isinstance(answer, Heads):
        return _maps(graph, answer)
    c = graph.shapes[graph.answer][0]
    if not isinstance(answer, Activation | Passing) or not _vector(graph, graph.answer):
        return graph
    layers, last = list(graph.layers), graph.fresh("logits")
    layers.append(Weights(last, (graph.answer,), torch.eye(c, dtype=graph.dtype), torch.zeros(c, dtype=graph.dtype)))
    return Graph(layers, last, graph.shape, graph.normalised)


def _maps(graph: Graph, answer: Heads) -> Graph:
    """``graph`` with currents before its last layer."""
    new, sources = list(graph.layers[:-1]), list[str]()
    for source in answer.sources:
        if not isinstance(graph.kinds.get(source), Currents):
            c, unit = graph.shapes[source][0], graph.fresh(f"{source} map")
            one = graph.depthwise(unit, source, torch.ones(c), torch.zeros(c))
            if not _vector(graph, source):  # of one pixel too
                one = replace(one, weight=torch.ones(c, 1, 1, 1, dtype=graph.dtype), groups=c)
            new.append(one)
            source = unit
        sources.append(source)
    return graph.changed([*new, replace(answer, sources=tuple(sources))])


def _vector(graph: Graph, name: str) -> bool:
    """Whether the model has the result of a layer as a vector, not as a map."""
    layer = graph.kinds.get(name)
    if isinstance(layer, Weights):
        return layer.weight.ndim == 2
    return isinstance(layer, Flat) or (layer is not None and _vector(graph, layer.sources[0]))
