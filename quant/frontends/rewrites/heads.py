"""Logits that no Linear gives: a Linear of ones on the diagonal behind them, which counts them as they are."""

from __future__ import annotations

import torch

from ..layers import Activation, Flat, Passing, Weights
from .graph import Graph

__all__ = ["heads"]


def heads(graph: Graph) -> Graph:
    """``graph`` whose logits come from a Linear, or from a sum of Linears."""
    answer = graph.kinds.get(graph.answer)
    c = graph.shapes[graph.answer][0]
    if not isinstance(answer, Activation | Passing) or not _vector(graph, graph.answer):
        return graph
    layers, last = list(graph.layers), graph.fresh("logits")
    layers.append(Weights(last, (graph.answer,), torch.eye(c, dtype=graph.dtype), torch.zeros(c, dtype=graph.dtype)))
    return Graph(layers, last, graph.shape, graph.normalised)


def _vector(graph: Graph, name: str) -> bool:
    """Whether the model has the result of a layer as a vector, not as a map."""
    layer = graph.kinds.get(name)
    if isinstance(layer, Weights):
        return layer.weight.ndim == 2
    return isinstance(layer, Flat) or (layer is not None and _vector(graph, layer.sources[0]))
