"""Exact searches in the layered graph of ``gen.folding.lattice``: the smallest design for so many cycles, within a
budget.

Without a budget this is a shortest path. With one it is a shortest path with several resources. Prices on the
resources (a Lagrangian relaxation) give a bound: a design whose costs at any prices are above those of the whole budget
does not fit. Mostly the best prices prove at once that nothing fits, or lead to designs that do. Then labels, one for
every way to reach a node that no other beats in all resources, are carried through the layers, without those that the
bounds rule out; what remains is the optimum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .lattice import Arcs

__all__ = ["FastArcs", "Found", "fits", "remaining", "smallest"]

ORDER = np.array([1.0, 1e-6, 1e-3])
"""What is smallest: the LUTs; among equal designs block RAMs decide, then flip-flops."""

ROUNDS = 60
"""Steps towards the best prices."""


@dataclass(frozen=True, eq=False)
class Found:
    """A design: ``choices``, the index of a candidate for every layer; ``cost``, LUTs, flip-flops, block RAMs."""

    choices: list[int]
    cost: np.ndarray

    @property
    def size(self) -> float:
        """What the search minimises."""
        return float(self.cost @ ORDER)


class FastArcs:
    """The arcs of a layer that are fast enough."""

    def __init__(self, arcs: Arcs, cycles: int) -> None:
        fits = arcs.cycles <= cycles
        self.start, self.end, self.cost = arcs.start[fits], arcs.end[fits], arcs.cost[fits]
        self.choice, self.cycles, self.nodes = arcs.choice[fits], arcs.cycles[fits], arcs.nodes


def smallest(lattice: Sequence[Arcs], cycles: int, budget: np.ndarray | None = None) -> Found | None:
    """The smallest design of at most ``cycles`` cycles a frame within ``budget``; None where there is none."""
    layers = [FastArcs(arcs, cycles) for arcs in lattice]
    if any(not len(layer.start) for layer in layers):
        return None
    best = _cheapest(layers, ORDER)
    if budget is None or best is None or (best.cost <= budget).all():
        return best
    return _constrained(layers, budget)


def _cheapest(layers: Sequence[FastArcs], prices: np.ndarray) -> Found | None:
    """The shortest path at ``prices``."""
    value, chosen = np.zeros(1), []
    for layer in layers:
        through = value[layer.start] + layer.cost @ prices
        order = np.lexsort((through, layer.end))
        ends = layer.end[order]
        first = order[np.r_[True, ends[1:] != ends[:-1]]]
        value = np.full(layer.nodes, np.inf)
        arc = np.full(layer.nodes, -1)
        value[layer.end[first]], arc[layer.end[first]] = through[first], first
        chosen.append(arc)
    node = int(value.argmin())
    if not np.isfinite(value[node]):
        return None
    choices, cost = [], np.zeros(3)
    for layer, arc in zip(reversed(layers), reversed(chosen), strict=True):
        k = arc[node]
        choices.append(int(layer.choice[k]))
        cost += layer.cost[k]
        node = int(layer.start[k])
    return Found(choices[::-1], cost)


def remaining(layers: Sequence[FastArcs], prices: np.ndarray) -> list[np.ndarray]:
    """The least cost at ``prices`` from every node to the end, by layer; the first entry is that of the start."""
    found = [np.zeros(layers[-1].nodes)]
    for k in range(len(layers) - 1, -1, -1):
        layer = layers[k]
        value = np.full(layers[k - 1].nodes if k else 1, np.inf)
        np.minimum.at(value, layer.start, layer.cost @ prices + found[0][layer.end])
        found.insert(0, value)
    return found


def fits(lattice: Sequence[Arcs], cycles: int, budget: np.ndarray) -> bool:
    """Whether any design of at most ``cycles`` cycles a frame fits ``budget``."""
    layers = [FastArcs(arcs, cycles) for arcs in lattice]
    if any(not len(layer.start) for layer in layers):
        return False
    found, bounds, possible = _share_prices(layers, budget)
    if found is not None or not possible:
        return found is not None
    return _labels(layers, bounds, None) is not None


Bound = tuple[np.ndarray, float]
"""Prices, and what a design may cost at them."""


def _share_prices(layers: Sequence[FastArcs], budget: np.ndarray) -> tuple[Found | None, list[Bound], bool]:
    """A design within ``budget`` if one is met on the way to the best prices; bounds that all such designs keep;
    whether there may be one."""
    bounds = [(np.eye(3)[r], float(budget[r])) for r in range(3)]
    scale, weights = np.maximum(budget, 1.0), np.full(3, 1 / 3)
    for step in range(ROUNDS):
        prices = weights / scale
        found = _cheapest(layers, prices)
        if found is None or prices @ found.cost > prices @ budget + 1e-9:
            return None, bounds, False
        if (found.cost <= budget).all():
            return found, bounds, True
        if step % 10 == 0:
            bounds.append((prices, float(prices @ budget)))
        used = found.cost / scale
        weights = weights * np.exp(1.5 * (used - used.mean()) / (1 + step / 5))
        weights = np.maximum(weights / weights.sum(), 1e-6)
    return None, [*bounds, (weights / scale, float(weights / scale @ budget))], True


def _constrained(layers: Sequence[FastArcs], budget: np.ndarray) -> Found | None:
    """The smallest path within ``budget``."""
    incumbent, bounds, possible = _share_prices(layers, budget)
    if not possible:
        return None
    # The best prices on what is over the budget, for a bound on the size of what fits.
    extra, best_extra, best_bound, scale = np.zeros(3), np.zeros(3), -np.inf, np.maximum(budget, 1.0)
    for step in range(ROUNDS):
        found = _cheapest(layers, ORDER + extra)
        assert found is not None
        bound = found.size + float(extra @ (found.cost - budget))
        if bound > best_bound:
            best_bound, best_extra = bound, extra
        if (found.cost <= budget).all() and (incumbent is None or found.size < incumbent.size):
            incumbent = found
        if incumbent is not None and best_bound >= incumbent.size - 1e-9:
            return incumbent
        extra = np.maximum(0.0, extra + 2.0 * budget[0] * (found.cost - budget) / scale**2 / (1 + step / 4))
    if incumbent is not None:
        bounds.append((ORDER + best_extra, incumbent.size + float(best_extra @ budget)))
    return _labels(layers, bounds, incumbent)


def _labels(
    layers: Sequence[FastArcs],
    bounds: list[Bound],
    incumbent: Found | None,
) -> Found | None:
    """Carry all labels through the layers that may lead to a design that keeps the ``bounds``; the smallest one, or
    ``incumbent`` where none is smaller."""
    ahead = [(p, limit, remaining(layers, p)) for p, limit in bounds]
    cost, node = np.zeros((1, 3)), np.zeros(1, np.int64)
    trace: list[tuple[np.ndarray, np.ndarray]] = []
    for k, layer in enumerate(layers):
        order = np.argsort(layer.start, kind="stable")
        first = np.searchsorted(layer.start[order], np.arange(layer.start.max() + 2))
        counts = np.diff(first)[node]
        parent = np.repeat(np.arange(len(node)), counts)
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        arc = order[np.repeat(first[node], counts) + offsets]
        cost = cost[parent] + layer.cost[arc]
        end = layer.end[arc]
        alive = np.ones(len(end), bool)
        for p, limit, rest in ahead:
            alive &= cost @ p + rest[k + 1][end] <= limit + 1e-9
        parent, arc, cost, end = parent[alive], arc[alive], cost[alive], end[alive]
        kept = _undominated(cost, end)
        parent, arc, cost, node = parent[kept], arc[kept], cost[kept], end[kept]
        trace.append((parent, arc))
        if not len(node):
            return incumbent
    label = int((cost @ ORDER).argmin())
    if incumbent is not None and cost[label] @ ORDER >= incumbent.size:
        return incumbent
    total, choices = cost[label], []
    for layer, (parent, arc) in zip(reversed(layers), reversed(trace), strict=True):
        choices.append(int(layer.choice[arc[label]]))
        label = int(parent[label])
    return Found(choices[::-1], total)


def _undominated(cost: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Indices of the labels that no other of the same node beats in all resources."""
    order = np.lexsort((cost[:, 1], cost[:, 0], cost[:, 2], end))
    kept: list[int] = []
    front: list[tuple[float, float]] = []  # (LUTs, flip-flops) of those kept, LUTs ascending, flip-flops descending
    node = -1
    for k in order.tolist():
        luts, ff = cost[k, 0], cost[k, 1]
        if end[k] != node:
            node, front = end[k], []
        # All of ``front`` have no more block RAMs; it is a staircase, so one comparison decides.
        low, high = 0, len(front)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if front[middle][0] <= luts else (low, middle)
        if low and front[low - 1][1] <= ff:
            continue
        kept.append(k)
        upper = low
        while upper < len(front) and front[upper][1] >= ff:
            upper += 1
        front[low:upper] = [(luts, ff)]
    return np.array(kept, np.int64)
