"""The exact Pareto front of a space of folds: all designs that no other beats in cycles, LUTs and block RAMs at once.

For every number of cycles that a design can need, labels (LUTs, block RAMs) are carried through the layered graph of
``gen.folding.lattice``, over the arcs that are fast enough; at every node those stay that no other label there beats.
Costs are sums over the arcs, so what is beaten at a node is beaten at the end. A node has at most one label for every
number of block RAMs, which is what makes this exact and quick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .labels import FastArcs, Found, remaining
from .lattice import Arcs

__all__ = ["Front", "Point", "front", "undominated"]

LUT, FF, EBR = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Point(Found):
    """A design on the front: ``cycles`` that its slowest stage needs, beside ``choices`` and ``cost``."""

    cycles: int


@dataclass(frozen=True, eq=False)
class Front:
    """``points`` by ascending cycles; ``evaluated``, partial designs looked at."""

    points: list[Point]
    evaluated: int


def front(
    lattice: Sequence[Arcs],
    steps: Sequence[int],
    budget: np.ndarray | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Front:
    """The designs of at most ``steps`` cycles a frame, each of them in turn, that none beats in cycles, LUTs and block
    RAMs; of equal ones that with the fewest flip-flops. ``budget``: LUTs, flip-flops, block RAMs at most; flip-flops
    then are looked at as well wherever they keep a design from fitting. ``progress`` is called with (steps done, all).
    """
    found: list[Point] = []
    evaluated = 0
    for done, cycles in enumerate(sorted(int(step) for step in steps)):
        points, count = _labels(lattice, cycles, budget, (LUT, EBR))
        evaluated += count
        if budget is not None and any(point.cost[FF] > budget[FF] for point in points):
            points, count = _labels(lattice, cycles, budget, (LUT, EBR, FF))
            evaluated += count
        found += points
        progress(done + 1, len(steps))
    fits = [point for point in found if budget is None or (point.cost <= budget).all()]
    if not fits:
        return Front([], evaluated)
    figures = np.array([[point.cycles, point.cost[LUT], point.cost[EBR], point.cost[FF]] for point in fits])
    order = np.lexsort(figures.T[::-1])
    kept = undominated(figures[order, :3])
    return Front([fits[order[k]] for k in kept], evaluated)


def undominated(figures: np.ndarray) -> list[int]:
    """Rows of ``figures`` (n, m) that no other row is at most as large as in every column; of equal ones the first."""
    kept: list[int] = []
    for k in np.lexsort(figures.T[::-1]).tolist():
        if not kept or not (figures[kept] <= figures[k]).all(1).any():
            kept.append(k)
    return sorted(kept)


def _labels(
    lattice: Sequence[Arcs], cycles: int, budget: np.ndarray | None, resources: tuple[int, ...]
) -> tuple[list[Point], int]:
    """The designs of at most ``cycles`` that none beats in ``resources``, and the number of labels made."""
    layers = [FastArcs(arcs, cycles) for arcs in lattice]
    if any(not len(layer.start) for layer in layers):
        return [], 0
    # Bounds on the flip-flops would be wrong where they do not count: what they rule out may be beaten by what stays.
    limits = [] if budget is None else [(r, budget[r] + 1e-9, remaining(layers, np.eye(3)[r])) for r in resources]
    cost, node, evaluated = np.zeros((1, 3)), np.zeros(1, np.int64), 0
    trace: list[tuple[np.ndarray, np.ndarray]] = []
    before = 1
    for k, layer in enumerate(layers):
        order = np.argsort(layer.start, kind="stable")
        first = np.searchsorted(layer.start[order], np.arange(before + 1))
        counts = np.diff(first)[node]
        parent = np.repeat(np.arange(len(node)), counts)
        arc = order[np.arange(counts.sum()) + np.repeat(first[node] - np.cumsum(counts) + counts, counts)]
        cost, node, before = cost[parent] + layer.cost[arc], layer.end[arc], layer.nodes
        evaluated += len(arc)
        within = np.ones(len(arc), bool)
        for r, limit, rest in limits:
            within &= cost[:, r] + rest[k + 1][node] <= limit
        kept = np.flatnonzero(within)
        kept = kept[_kept(cost[kept], node[kept], resources)]
        parent, arc, cost, node = parent[kept], arc[kept], cost[kept], node[kept]
        trace.append((parent, arc))
        if not len(node):
            return [], evaluated
    points = []
    for label in range(len(cost)):
        choices, slowest, at = [], 0, label
        for layer, (parent, arc) in zip(reversed(layers), reversed(trace), strict=True):
            choices.append(int(layer.choice[arc[at]]))
            slowest = max(slowest, int(layer.cycles[arc[at]]))
            at = int(parent[at])
        points.append(Point(choices[::-1], cost[label], slowest))
    return points, evaluated


def _kept(cost: np.ndarray, node: np.ndarray, resources: tuple[int, ...]) -> np.ndarray:
    """The labels that no other of the same node beats in ``resources``."""
    rounded = np.round(cost, 6)  # sums of the same numbers in another order may differ in their last bits
    order = np.lexsort((rounded[:, FF], rounded[:, EBR], rounded[:, LUT], node))
    if resources == (LUT, EBR) and len(order):
        # In the order of LUTs a label stays if it has fewer block RAMs than all before it at its node.
        ends = node[order]
        ebr = rounded[order, EBR] - ends * (rounded[:, EBR].max() + 1)
        least = np.minimum.accumulate(ebr)
        return order[np.r_[True, ebr[1:] < least[:-1]]]
    found = []
    for end in np.unique(node):
        mine = np.flatnonzero(node == end)
        found += mine[undominated(rounded[mine][:, list(resources)])].tolist()
    return np.array(found, np.int64)
