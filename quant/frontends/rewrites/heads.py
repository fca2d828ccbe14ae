"""Logits that no Linear gives: a Linear of ones on the diagonal behind them, which counts them as they are."""

from __future__ import annotations

import torch

from ..layers import Activation, Flat, Passing, Weights
from .graph import Graph

__all__ = ["heads"]


def heads(graph: Graph) -> Graph:
    """``graph`` whose logits come from a Linear, or from a sum of Linears."""
    answer = graph.kinds.get(graph.answer)
    c, *size = graph.shapes[graph.answer]
    if not isinstance(answer, Activation | Passing) or size != [1, 1]:
        return graph
    layers, source = list(graph.layers), graph.answer
    if not isinstance(answer, Flat):
        source = graph.fresh(f"{source} flat")
        layers.append(Flat(source, (graph.answer,)))
    last = graph.fresh("logits")
    layers.append(Weights(last, (source,), torch.eye(c, dtype=graph.dtype), torch.zeros(c, dtype=graph.dtype)))
    return Graph(layers, last, graph.shape, graph.normalised)
