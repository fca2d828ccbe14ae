"""The label search in the layered graph of ``gen.folding.lattice``: all ways through it that are worth keeping.

A label is a way to reach a node, with its cost. Labels are carried through the layers over the arcs that are fast
enough; those that the bounds rule out are dropped, and so are those that another one at the same node beats: costs are
sums over the arcs, so what is beaten at a node is beaten at the end. The smallest design within a budget
(``gen.folding.least``) and the front (``gen.folding.front``) are what remains, under other bounds and another filter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .lattice import Arcs

__all__ = ["DSP", "EBR", "FF", "LUT", "Bound", "FastArcs", "Labels", "carried", "fast_arcs"]

LUT, FF, EBR, DSP = range(4)
"""Columns of a cost."""

Bound = tuple[np.ndarray, float]
"""Prices (4,), and what a design may cost at them."""


class FastArcs:
    """The arcs of a layer that are fast enough."""

    def __init__(self, arcs: Arcs, cycles: int) -> None:
        fits = arcs.cycles <= cycles
        self.start, self.end, self.cost = arcs.start[fits], arcs.end[fits], arcs.cost[fits]
        self.choice, self.cycles, self.nodes = arcs.choice[fits], arcs.cycles[fits], arcs.nodes


def fast_arcs(lattice: Sequence[Arcs], cycles: int) -> list[FastArcs] | None:
    """The arcs of at most ``cycles`` cycles a frame, by layer; None where a layer has none."""
    layers = [FastArcs(arcs, cycles) for arcs in lattice]
    return layers if all(len(layer.start) for layer in layers) else None


@dataclass(frozen=True, eq=False)
class Labels:
    """The ways through all layers that were kept: ``cost`` (n, 4) of each; ``made``, labels looked at on the way;
    ``trace``, by layer the label before and the arc of every label behind it."""

    cost: np.ndarray
    made: int
    trace: list[tuple[np.ndarray, np.ndarray]]

    def arcs(self, label: int) -> list[int]:
        """The arc of every layer on the way of ``label``."""
        found = []
        for parent, arc in reversed(self.trace):
            found.append(int(arc[label]))
            label = int(parent[label])
        return found[::-1]


def carried(
    layers: Sequence[FastArcs],
    bounds: Sequence[Bound],
    keep: Callable[[np.ndarray, np.ndarray], np.ndarray],
    most: int | None = None,
) -> Labels | None:
    """Carry labels through all ``layers``: those that may lead to a design that keeps the ``bounds``, and of these the
    ones that ``keep`` names, from their cost (n, 4) and their nodes (n,), in the order it gives. None where there are
    more than ``most`` at a layer."""
    ahead = [(prices, limit, _remaining(layers, prices)) for prices, limit in bounds]
    cost, node, nodes, made = np.zeros((1, 4)), np.zeros(1, np.int64), 1, 0
    trace: list[tuple[np.ndarray, np.ndarray]] = []
    for k, layer in enumerate(layers):
        order = np.argsort(layer.start, kind="stable")
        first = np.searchsorted(layer.start[order], np.arange(nodes + 1))
        counts = np.diff(first)[node]
        parent = np.repeat(np.arange(len(node)), counts)
        arc = order[np.arange(counts.sum()) + np.repeat(first[node] - np.cumsum(counts) + counts, counts)]
        cost, node, nodes = cost[parent] + layer.cost[arc], layer.end[arc], layer.nodes
        made += len(arc)
        within = np.ones(len(arc), bool)
        for prices, limit, rest in ahead:
            within &= cost @ prices + rest[k + 1][node] <= limit + 1e-9
        kept = np.flatnonzero(within)
        if most is not None and len(kept) > most:
            return None
        kept = kept[keep(cost[kept], node[kept])]
        parent, arc, cost, node = parent[kept], arc[kept], cost[kept], node[kept]
        trace.append((parent, arc))
        if not len(node):
            break
    return Labels(cost, made, trace)


def _remaining(layers: Sequence[FastArcs], prices: np.ndarray) -> list[np.ndarray]:
    """The least cost at ``prices`` from every node to the end, by layer; the first entry is that of the start."""
    found = [np.zeros(layers[-1].nodes)]
    for k in range(len(layers) - 1, -1, -1):
        layer = layers[k]
        value = np.full(layers[k - 1].nodes if k else 1, np.inf)
        np.minimum.at(value, layer.start, layer.cost @ prices + found[0][layer.end])
        found.insert(0, value)
    return found
