"""The exact Pareto front of a space of folds: all designs that no other beats in cycles, LUTs and block RAMs at once.

For every number of cycles that a design can need, labels are carried through the layered graph
(``gen.folding.labels``); at every node those stay that no other one beats in LUTs and block RAMs. A node has at most
one label for every number of block RAMs, which is what makes this exact and quick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from .labels import EBR, FF, LUT, carried, fast_arcs
from .lattice import Arcs
from .least import Found
from .pareto import undominated

__all__ = ["Front", "Point", "front"]


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


def _labels(
    lattice: Sequence[Arcs], cycles: int, budget: np.ndarray | None, resources: tuple[int, ...]
) -> tuple[list[Point], int]:
    """The designs of at most ``cycles`` that none beats in ``resources``, and the number of labels made."""
    layers = fast_arcs(lattice, cycles)
    if layers is None:
        return [], 0
    # Bounds on the flip-flops would be wrong where they do not count: what they rule out may be beaten by what stays.
    bounds = [] if budget is None else [(np.eye(4)[r], float(budget[r])) for r in resources]
    labels = carried(layers, bounds, partial(_kept, resources=resources))
    assert labels is not None
    points = []
    for label, cost in enumerate(labels.cost):
        way = list(zip(layers, labels.arcs(label), strict=True))
        choices, slowest = [int(layer.choice[arc]) for layer, arc in way], max(layer.cycles[arc] for layer, arc in way)
        points.append(Point(choices, cost, int(slowest)))
    return points, labels.made


def _kept(cost: np.ndarray, node: np.ndarray, resources: tuple[int, ...]) -> np.ndarray:
    """The labels that no other of the same node beats in ``resources``; of equal ones that with the fewest
    flip-flops."""
    rounded = np.round(cost, 6)  # sums of the same numbers in another order may differ in their last bits
    counted = [node] if FF in resources else [rounded[:, FF], rounded[:, EBR], rounded[:, LUT], node]
    order = np.lexsort(counted)
    return order[undominated(rounded[order][:, resources], node[order])]
