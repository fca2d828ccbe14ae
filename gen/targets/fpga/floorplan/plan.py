"""Assign all macros of a design to sites at once: quadratic placement, alternating with an exact assignment.

Every net is a star: its cells are drawn to a point in its middle by springs. Each macro is drawn to the site it has,
more strongly from round to round, and each cell to the middle of its stage, ever more weakly. Where the springs are at
rest is a linear system of equations (conjugate gradients); which site each macro then takes, so that all move as little
as can be, is a linear assignment problem (``scipy.optimize.linear_sum_assignment``). The round with the least wires
counts. The idea is that of analytic placers: Kleinhans et al., "GORDIAN", 1991; Kim et al., "SimPL", 2012.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.linalg import cg

from .netlist import Netlist
from .sites import Site

__all__ = ["ROUNDS", "Plan", "plan"]

ROUNDS = 24
"""Rounds of springs and assignment; ResNet-20 gains less than 1 % in the last ten."""

_STAGE, _FADES, _LAST = 0.2, 0.5, 0.0005
"""How strongly a cell is drawn to the middle of its stage at first, what is left of it a round later, and at least."""

_SITE, _GROWS = 0.04, 1.15
"""How strongly a macro is drawn to its site at first, as a share of what its nets pull, and how much more from round to
round."""

_PINNED = 1e4


@dataclass(frozen=True)
class Plan:
    """The site of each macro, by name (``places``), and the ``wires`` of each round, in tiles: half the perimeter of
    all nets where macros are at their sites and all other cells where springs draw them."""

    places: Mapping[str, str]
    wires: tuple[float, ...]


def plan(
    netlist: Netlist,
    sites: Mapping[str, Sequence[Site]],
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Plan:
    """Choose a site for every macro of ``netlist`` among ``sites``, those of each kind of macro.

    Raises ValueError where there are fewer sites than macros of a kind.
    """
    for kind, cells in netlist.macros.items():
        if len(cells) > len(sites[kind]):
            raise ValueError(f"{len(cells)} {kind} and {len(sites[kind])} sites for them")
    places = {kind: np.array([[site.x, site.y] for site in each], float).reshape(-1, 2) for kind, each in sites.items()}
    springs, cells = _Springs(netlist), len(netlist.names)
    macros = np.concatenate(list(netlist.macros.values()))
    middles = _middles(netlist, places)
    at = springs.rest(np.full(cells, _STAGE), middles, np.concatenate([middles, np.zeros((springs.nets, 2))]))
    best: dict[str, np.ndarray] = {}
    wires: list[float] = []
    for number in range(ROUNDS):
        chosen = {kind: _assign(at[each], places[kind]) for kind, each in netlist.macros.items()}
        goals = middles.copy()
        for kind, each in netlist.macros.items():
            goals[each] = places[kind][chosen[kind]]
        strength = np.full(cells, max(_STAGE * _FADES**number, _LAST))
        strength[macros] = _PINNED
        at = springs.rest(strength, goals, at)
        wires.append(netlist.wires(at[:cells, 0], at[:cells, 1]))
        best = chosen if wires[-1] == min(wires) else best
        strength[macros] = _SITE * _GROWS**number * springs.degree[macros]
        at = springs.rest(strength, goals, at)
        progress(number + 1, ROUNDS)
    pairs = [
        (netlist.names[cell], sites[kind][site].name)
        for kind, each in netlist.macros.items()
        for cell, site in zip(each, best[kind], strict=True)
    ]
    return Plan(dict(pairs), tuple(wires))


class _Springs:
    """The nets of a netlist as springs between cells and the points in the middle of the ``nets``."""

    def __init__(self, netlist: Netlist) -> None:
        cells, self.nets = len(netlist.names), len(netlist.starts)
        sizes = np.diff([*netlist.starts, len(netlist.pins)])
        ends = (netlist.pins, np.repeat(np.arange(self.nets) + cells, sizes))
        half = coo_matrix((np.ones(len(netlist.pins)), ends), shape=(cells + self.nets,) * 2)
        self._joined: csr_matrix = (half + half.T).tocsr()
        self.degree = np.asarray(self._joined.sum(axis=1)).ravel()

    def rest(self, strength: np.ndarray, goals: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Where all is at rest, (cells + nets, 2), with cells drawn to ``goals``, (cells, 2), by ``strength``, (cells);
        ``start``, where the search for it begins."""
        pull = np.concatenate([strength, np.zeros(self.nets)])
        diagonal = self.degree + pull + 1e-9
        matrix, scaled = (diags(diagonal) - self._joined).tocsr(), diags(1 / diagonal)
        force = np.zeros_like(start)
        force[: len(goals)] = strength[:, None] * goals
        found = [cg(matrix, force[:, axis], x0=start[:, axis], rtol=1e-4, maxiter=300, M=scaled)[0] for axis in (0, 1)]
        return np.stack(found, axis=1)


def _assign(at: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The place of each macro, so that the way from where they are ``at`` to ``places`` is the shortest in all."""
    costs = np.abs(at[:, None, :] - places[None, :, :]).sum(axis=2)
    return linear_sum_assignment(costs)[1]


def _middles(netlist: Netlist, places: Mapping[str, np.ndarray]) -> np.ndarray:
    """The middle of each cell's stage, (cells, 2): the stages along rows of block RAMs, back and forth.

    A stage takes as much of the way as its share of what it needs most of: block RAMs, multipliers or LUTs.
    """
    sites = np.concatenate(list(places.values()))
    low, high = sites.min(axis=0), sites.max(axis=0)
    rows = np.unique(places["DP16KD"][:, 1])
    needs = [(netlist.stage[each], np.ones(len(each)) / len(places[kind])) for kind, each in netlist.macros.items()]
    tiles = 8 * (high[0] - low[0]) * (high[1] - low[1])
    needs.append((netlist.stage, netlist.luts / tiles))
    count = max(int(netlist.stage.max()) + 1, 1)
    share = np.zeros(count)
    for stage, part in needs:
        known = stage >= 0
        share = np.maximum(share, np.bincount(stage[known], part[known], minlength=count))
    ends = np.cumsum(share) / max(share.sum(), 1e-9) * len(rows)
    middle = ends - share / max(share.sum(), 1e-9) * len(rows) / 2
    row = np.minimum(middle.astype(int), len(rows) - 1)
    along = np.where(row % 2 == 0, middle - row, 1 - (middle - row))
    stages = np.stack([low[0] + along * (high[0] - low[0]), rows[row]], axis=1)
    centre = (low + high) / 2
    return np.where(netlist.stage[:, None] >= 0, stages[np.maximum(netlist.stage, 0)], centre)
