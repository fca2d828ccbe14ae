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
from dataclasses import dataclass, field, replace

import numpy as np

from .labels import DSP, EBR, FF, LUT, Bound, FastArcs, carried, fast_arcs
from .lattice import Arcs
from .pareto import undominated

__all__ = ["ORDER", "Found", "TooMany", "fits", "smallest"]

ORDER = np.array([1.0, 1e-6, 1e-3, 1e-4])
"""What is smallest: the LUTs; among equal designs block RAMs decide, then multipliers, then flip-flops."""

SPREADS = (0.02, 0.1, 0.3)
"""Standard deviations of the logarithms of prices that are tried around the best ones."""

STEPS, PATIENCE = 240, 10
"""Steps towards the best prices on what is over the budget; those without a better bound before they are halved."""

MOST_LABELS = 50_000
"""Labels at a layer from which on a design near the bound is taken instead, or none."""

ROUNDS = 60
"""Steps towards prices at which nothing fits, or a design that does."""


class TooMany(Exception):
    """No design within the budget was met, and there are too many ways to try all of them."""


@dataclass(frozen=True, eq=False)
class Found:
    """A design: ``choices``, the index of a candidate for every layer; ``cost``, LUTs, flip-flops, block RAMs,
    multipliers; ``above``, by how much it may be larger than the smallest, as a share: 0 where it is that."""

    choices: list[int]
    cost: np.ndarray
    above: float = field(default=0.0, kw_only=True)

    @property
    def size(self) -> float:
        """What the search minimises."""
        return float(self.cost @ ORDER)


def smallest(lattice: Sequence[Arcs], cycles: int, budget: np.ndarray | None = None) -> Found | None:
    """The smallest design of at most ``cycles`` cycles a frame within ``budget``; None where there is none. Raises
    TooMany."""
    layers = fast_arcs(lattice, cycles)
    if layers is None:
        return None
    best = _cheapest(layers, ORDER)
    if budget is None or best is None or (best.cost <= budget).all():
        return best
    return _constrained(layers, budget)


def _cheapest(layers: Sequence[FastArcs], prices: np.ndarray) -> Found | None:
    """The shortest path at ``prices`` (4,), or (layers, 4)."""
    value, chosen = np.zeros(1), []
    for layer, price in zip(layers, np.broadcast_to(prices, (len(layers), 4)), strict=True):
        through = value[layer.start] + layer.cost @ price
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
    choices, cost = [], np.zeros(4)
    for layer, arc in zip(reversed(layers), reversed(chosen), strict=True):
        k = arc[node]
        choices.append(int(layer.choice[k]))
        cost += layer.cost[k]
        node = int(layer.start[k])
    return Found(choices[::-1], cost)


def fits(lattice: Sequence[Arcs], cycles: int, budget: np.ndarray) -> bool:
    """Whether any design of at most ``cycles`` cycles a frame fits ``budget``. Raises TooMany."""
    layers = fast_arcs(lattice, cycles)
    if layers is None:
        return False
    found, bounds, possible = _share_prices(layers, budget)
    if found is not None or not possible:
        return found is not None
    found, _, _ = _best_prices(layers, budget, None, any_will_do=True)
    return found is not None or _searched(layers, bounds, None) is not None


def _share_prices(layers: Sequence[FastArcs], budget: np.ndarray) -> tuple[Found | None, list[Bound], bool]:
    """A design within ``budget`` if one is met on the way to the best prices; bounds that all such designs keep;
    whether there may be one."""
    bounds = [(np.eye(4)[r], float(budget[r])) for r in range(4)]
    scale, weights = np.maximum(budget, 1.0), np.full(4, 1 / 4)
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
    incumbent, least, prices = _best_prices(layers, budget, incumbent)
    if incumbent is not None:
        if least >= incumbent.size - 1e-9:
            return incumbent
        bounds.append((ORDER + prices, incumbent.size + float(prices @ budget)))
    return _searched(layers, bounds, incumbent, least)


def _best_prices(
    layers: Sequence[FastArcs], budget: np.ndarray, incumbent: Found | None, any_will_do: bool = False
) -> tuple[Found | None, float, np.ndarray]:
    """The best prices (4,) on what is over the budget: no design that fits is smaller than the bound that they give,
    the second result; and a design that fits, met on the way, near that bound.

    Polyak's steps along the subgradient. With one price for all stages equal ones would all have the same fold; so
    designs that fit are looked for at prices around the best ones, others at every stage; with ``any_will_do`` up to
    the first one.
    """
    scale, rng = np.maximum(budget, 1.0), np.random.default_rng(0)
    extra = best = np.zeros(4)
    least, pace, stalled = -np.inf, 1.0, 0

    def met(found: Found | None) -> None:
        nonlocal incumbent
        if found is not None and (found.cost <= budget).all() and (incumbent is None or found.size < incumbent.size):
            incumbent = found

    for _ in range(STEPS):
        found = _cheapest(layers, ORDER + extra)
        assert found is not None
        met(found)
        bound = found.size + float(extra @ (found.cost - budget))
        stalled += 1
        if bound > least + 1e-6:
            least, best, stalled = bound, extra, 0
        if incumbent is not None and (any_will_do or least >= incumbent.size - 1e-9):
            break
        if stalled == PATIENCE:
            extra, pace, stalled = best, pace / 2, 0
        over, most = (found.cost - budget) / scale, 1.1 * least if incumbent is None else incumbent.size
        extra = np.maximum(0.0, extra + pace * max(most - bound, 1.0) / max(float(over @ over), 1e-9) * over / scale)
        spread = rng.choice(SPREADS) * rng.normal(size=(len(layers), 4))
        met(_cheapest(layers, ORDER + best * np.exp(spread)))
    return incumbent, least, best


def _searched(
    layers: Sequence[FastArcs], bounds: list[Bound], incumbent: Found | None, least: float = 0.0
) -> Found | None:
    """The smallest design that keeps the ``bounds``, by labels; ``incumbent`` where none is smaller, or where there are
    too many labels to look at: no design is smaller than ``least``. Raises TooMany where there is no incumbent then."""
    labels = carried(layers, bounds, _unbeaten, MOST_LABELS)
    if labels is None:
        if incumbent is None:
            raise TooMany
        return replace(incumbent, above=incumbent.size / least - 1)
    if not len(labels.cost):
        return incumbent
    label = int((labels.cost @ ORDER).argmin())
    if incumbent is not None and labels.cost[label] @ ORDER >= incumbent.size:
        return incumbent
    choices = [int(layer.choice[arc]) for layer, arc in zip(layers, labels.arcs(label), strict=True)]
    return Found(choices, labels.cost[label])


def _unbeaten(cost: np.ndarray, node: np.ndarray) -> np.ndarray:
    """The labels that no other of the same node beats in all resources, by node, block RAMs, LUTs, flip-flops."""
    order = np.lexsort((cost[:, FF], cost[:, LUT], cost[:, EBR], node))
    counted = [EBR, LUT, FF, DSP] if cost[:, DSP].any() else [EBR, LUT, FF]
    return order[undominated(cost[order][:, counted], node[order])]
