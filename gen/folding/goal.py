"""What a search for folds looks for in the space of designs, and the best of them for so many cycles or a device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...quant.ir.network import Network
from ..design import Design
from ..errors import PlanError
from ..lowering.layers import StageNodes, layers
from ..lowering.occupancy import guessed_occupancy, occupancy_of
from ..targets.fpga.devices import RESOURCES, Device
from .bounds import heaviest_first, refuse_too_large, refuse_weights
from .candidates import CandidateTable
from .floors import StageFloor, stage_floor
from .fold import Fold
from .lattice import Arcs, lattice
from .least import Found, TooMany, fits, smallest
from .log import asked
from .rates import WordRates

__all__ = ["DEFAULT_AREA", "Goal"]

DEFAULT_AREA = 8_000
"""LUTs for a design without a target: about an iCE40HX8K, a third of an LFE5U-25F."""

ENDLESS = 1e9
"""More of a resource than any design takes."""

NOT_FOUND = "was found, and there are too many to try all, that fits"
"""What is said where a search ends without a proof."""

ROUNDS = 5
"""Times at most that the depths of the shortcuts' FIFOs are taken from the design found last."""


class Goal:
    """What is searched for, and where: the tables of candidates of a network.

    Parameters: those of :func:`.find.search`. Raises PlanError where a stage cannot be as fast as ``cycles`` ask for.
    Attributes: ``network``; ``cycles``; ``device``; ``dsp``, multipliers; ``budget``, of both, None where there is
    neither; ``counts``; ``layers`` and ``tables`` by stage; ``arcs``, the graph in which the design was found last;
    ``log``, lines on the search so far.
    """

    def __init__(
        self,
        network: Network,
        cycles: int | None,
        device: Device | None,
        given: dict[str, Fold],
        counts: bool,
        rates: WordRates | None,
        dsp: int,
    ) -> None:
        self.network, self.cycles, self.device, self.counts, self.dsp = network, cycles, device, counts, dsp
        self.budget = None
        if device is not None or dsp:
            self.budget = np.array([*(np.full(3, ENDLESS) if device is None else device.budget[:3]), dsp])
        self.layers = layers(network, counts)
        self._given, self._rates = given, rates
        self._refuse_early()
        # Where words may be skipped, walks may be shorter than they are without.
        self.tables = [self._table(layer, cycles if rates is None else None) for layer in self.layers]
        self.arcs: list[Arcs] = []
        self.log = asked(cycles, device, rates, dsp)
        for table in self.tables:
            self._refuse_slow(table)

    def _folds_given(self, layer: StageNodes) -> list[Fold] | None:
        return [self._given[layer.name]] if layer.name in self._given else None

    def _table(self, layer: StageNodes, most: int | None = None) -> CandidateTable:
        logic, given = self.device is not None, self._folds_given(layer)
        return CandidateTable(layer, given, logic=logic, rates=self._rates, dsp=self.dsp, most=most)

    def _refuse_early(self) -> None:
        """Refuse what bounds show to be impossible before any fold is built."""
        if self.cycles is None and self.device is None:
            return
        options = {"logic": self.device is not None, "skips": self._rates is not None, "dsp": self.dsp > 0}
        found: dict[str, StageFloor] = {}
        for layer, hopeless in heaviest_first(self.layers, self.device):
            found[layer.name] = stage_floor(layer, self._folds_given(layer), **options)
            if hopeless and self.device is not None and len(found) < len(self.layers):
                refuse_weights(list(found.values()), len(self.layers), self.device)
        floors = [found[layer.name] for layer in self.layers]
        for layer, floor in zip(self.layers, floors, strict=True):
            if self.cycles is not None and not len(floor.within(self.cycles).cycles):
                self._refuse_slow(self._table(layer))
        if self.device is not None:
            refuse_too_large(floors, self.cycles, self.device)

    def _refuse_slow(self, table: CandidateTable) -> None:
        if self.cycles is not None and table.fastest > self.cycles:
            raise PlanError(
                f"{table.layer.name}: needs at least {table.fastest} cycles a frame, more than the target of "
                f"{self.cycles}; choose a target of {table.fastest} or more"
            )

    @property
    def fastest(self) -> int:
        """Cycles that the slowest stage needs with every stage as fast as can be."""
        return max(table.fastest for table in self.tables)

    def hurry(self, found: Found) -> bool:
        """Leave out the folds whose walk takes as long as the longest of ``found``, and longer ones, where a stage has
        a faster one. Whether that leaves out any."""
        picked = [arcs.candidates[k] for arcs, k in zip(self.arcs, found.choices, strict=True)]
        walks = sorted({candidate.walk for candidate in picked}, reverse=True)
        return any(sum(table.hurry(walk) for table in self.tables) for walk in walks)

    def settle(self, target: int | None) -> tuple[Found, Design]:
        """The best design for ``target``, FIFOs of shortcuts as deep as the cycle law wants them in it."""
        occupancy, designs = guessed_occupancy(self.layers), []
        while True:
            self.arcs = lattice(self.network, self.tables, occupancy)
            found = self._best(target)
            folds = self._folds(found)
            if known := [design for design in designs if design.folds == folds]:
                return found, known[0]
            designs.append(Design(self.network, folds, self.counts))
            if not occupancy or len(designs) == ROUNDS:
                return found, designs[-1]
            occupancy = occupancy_of(designs[-1])

    def _folds(self, found: Found) -> dict[str, Fold]:
        pairs = zip(self.layers, self.arcs, found.choices, strict=True)
        return {layer.name: arcs.candidates[k].fold for layer, arcs, k in pairs}

    def _best(self, target: int | None) -> Found:
        if target is not None:
            try:
                found = smallest(self.arcs, target, self.budget)
            except TooMany:
                raise self._too_large(target, NOT_FOUND) from None
            if found is None:
                raise self._too_large(target)
            return found
        steps = np.unique(np.concatenate([arcs.cycles for arcs in self.arcs]))
        slowest = max(arcs.cycles.min() for arcs in self.arcs)
        steps = steps[steps >= slowest].tolist()
        return self._fastest(steps) if self.device is not None else self._best_product(steps)

    def _fastest(self, steps: Sequence[int]) -> Found:
        """The smallest of the fastest designs that fit: what fits in some cycles fits in more of them."""
        assert self.budget is not None
        low, high, why = 0, len(steps), "fits"
        while low < high:
            middle = (low + high) // 2 if high < len(steps) else high - 1  # the slowest first
            try:
                fit, reason = fits(self.arcs, steps[middle], self.budget), "fits"
            except TooMany:
                fit, reason = False, NOT_FOUND
            if not fit and high == len(steps):
                raise self._too_large(steps[-1], reason)
            if fit:
                high = middle
            else:
                low, why = middle + 1, reason
        if low:
            self.log.append(f"no design of {steps[low - 1]:,} cycles a frame, the next fewer, {why} the device")
        found = smallest(self.arcs, steps[low], self.budget)
        assert found is not None
        return found

    def _best_product(self, steps: Sequence[int]) -> Found:
        """The least LUTs x cycles of those that fit :data:`DEFAULT_AREA`; where none does, the smallest."""
        best: tuple[float, Found] | None = None
        slowest = smallest(self.arcs, steps[-1], self.budget)
        limit = DEFAULT_AREA if slowest is None else max(DEFAULT_AREA, float(slowest.cost[0]))
        for cycles in reversed(steps):
            floor = sum(arcs.cost[arcs.cycles <= cycles, 0].min() for arcs in self.arcs)
            if floor > limit * (1 + 1e-9):  # two sums of the same numbers may differ in their last bits
                break  # faster ones are larger still
            if best is not None and floor * cycles >= best[0]:
                continue
            try:
                found = smallest(self.arcs, cycles, self.budget)
            except TooMany:
                continue
            if found is None:
                continue  # too few multipliers for the folds that are given
            if found.cost[0] <= limit and (best is None or found.cost[0] * cycles < best[0]):
                best = float(found.cost[0]) * cycles, found
        if best is None:
            raise self._too_large(steps[-1])
        return best[1]

    def cycles_of(self, found: Found) -> int:
        """Cycles that the slowest stage of a design needs."""
        return max(arcs.candidates[k].cycles for arcs, k in zip(self.arcs, found.choices, strict=True))

    def faster(self, cycles: int) -> tuple[int, Found] | None:
        """The smallest design of the next fewer cycles, on whatever device."""
        steps = np.concatenate([arcs.cycles[arcs.cycles < cycles] for arcs in self.arcs])
        found = smallest(self.arcs, int(steps.max())) if len(steps) else None
        return (int(steps.max()), found) if found is not None else None

    def _too_large(self, target: int, why: str = "fits") -> PlanError:
        found = smallest(self.arcs, target)
        assert found is not None and self.budget is not None
        over = [
            f"{used:,.0f} {name} of {most:,.0f}"
            for used, most, name in zip(found.cost, self.budget, RESOURCES, strict=True)
            if used > most
        ]
        where = self.device.name if self.device else f"dsp={self.dsp}"
        return PlanError(
            f"no design of {target:,} cycles a frame {why} {where}: the one with the fewest LUTs takes "
            f"{', '.join(over)}; choose "
            f"{'a larger device' if self.device else 'other folds'}{'' if self.cycles is None else ' or more cycles'}"
            f"{', or a larger dsp' if found.cost[-1] > self.dsp else ''}"
        )
