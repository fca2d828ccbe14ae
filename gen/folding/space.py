"""The space of all folds of a network: how large it is, and what any number of its designs take, all at once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import prod

import numpy as np

from ...quant.ir.network import Network
from ..lowering.layers import layers
from ..lowering.occupancy import guessed_occupancy
from .candidates import CandidateTable
from .fold import Fold
from .lattice import Arcs, lattice
from .rates import WordRates

__all__ = ["Space"]


class Space:
    """Every fold of every stage of ``network``.

    Parameters: ``counts``, as in :class:`~.design.Design`; ``logic``: weights may be in LUTs where they would be in
    block RAM; ``rates``: stages may skip all-zero words, their cycles are means over its frames; ``occupancy``: pixels
    waiting in the FIFOs of the shortcuts by stage, by default an estimate (``gen.lowering.occupancy``).
    Attributes: ``tables``, the candidates of every stage; ``arcs``, the same as a layered graph
    (``gen.folding.lattice``).
    """

    def __init__(
        self,
        network: Network,
        *,
        counts: bool = True,
        logic: bool = False,
        rates: WordRates | None = None,
        occupancy: Mapping[str, list[float]] | None = None,
    ) -> None:
        self.network, self.counts = network, counts
        self.layers = layers(network, counts)
        self.tables = [CandidateTable(layer, logic=logic, rates=rates) for layer in self.layers]
        self.arcs: list[Arcs] = []
        self.settle(guessed_occupancy(self.layers) if occupancy is None else occupancy)

    def settle(self, occupancy: Mapping[str, list[float]]) -> None:
        """Take the FIFOs of the shortcuts to be as deep as ``occupancy`` say."""
        self.arcs = lattice(self.network, self.tables, dict(occupancy))
        self.__dict__.pop("_arc", None)

    @property
    def designs(self) -> int:
        """The number of designs."""
        return prod(len(table.candidates) for table in self.tables)

    @property
    def sizes(self) -> list[int]:
        """Folds of every stage that none of the same widths beats in everything."""
        return [len(arcs.candidates) for arcs in self.arcs]

    @property
    def steps(self) -> np.ndarray:
        """The cycles a frame that a design can need, ascending."""
        steps = np.unique(np.concatenate([arcs.cycles for arcs in self.arcs]))
        return steps[steps >= max(arcs.cycles.min() for arcs in self.arcs)]

    @cached_property
    def _arc(self) -> list[np.ndarray]:
        """The arc of every (node before, candidate), by layer."""
        found, before = [], 1
        for arcs in self.arcs:
            table = np.full((before, len(arcs.candidates)), -1)
            table[arcs.start, arcs.choice] = np.arange(len(arcs.start))
            found.append(table)
            before = arcs.nodes
        return found

    def evaluate(self, choices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(cycles (n,), LUTs, flip-flops, block RAMs and multipliers (n, 4)) of n designs, ``choices`` (n, stages)
        being indices of candidates (of ``arcs``). Cycles are those that the slowest stage needs."""
        node, cycles, cost = np.zeros(len(choices), int), np.zeros(len(choices), int), np.zeros((len(choices), 4))
        for arcs, table, chosen in zip(self.arcs, self._arc, choices.T, strict=True):
            arc = table[node, chosen]
            node = arcs.end[arc]
            cost += arcs.cost[arc]
            np.maximum(cycles, arcs.cycles[arc], out=cycles)
        return cycles, cost

    def random(self, n: int, seed: int = 0) -> np.ndarray:
        """``choices`` (n, stages) of designs drawn at random, every fold of a stage as likely as any other."""
        rng = np.random.default_rng(seed)
        return np.stack([rng.integers(0, size, n) for size in self.sizes], axis=1)

    def folds(self, choices: np.ndarray | list[int]) -> dict[str, Fold]:
        """The folds of a design by stage."""
        chosen = zip(self.layers, self.arcs, choices, strict=True)
        return {layer.name: arcs.candidates[int(k)].fold for layer, arcs, k in chosen}
