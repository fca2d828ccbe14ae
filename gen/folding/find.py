"""The search for folds: the smallest design for a cycle target, or the fastest one that fits a device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...quant.ir.network import Network
from ..design import Design
from ..emit.writer import performance
from ..lowering.lags import first_lags, lags_of
from ..lowering.layers import PlanError, layers
from ..targets.fpga.devices import DEVICES, Device
from .candidates import Table
from .fold import Fold
from .lattice import Arcs, lattice
from .least import Found, fits, smallest
from .rates import WordRates

__all__ = ["Choice", "auto", "designed", "search", "with_given"]

DEFAULT_AREA = 8_000
"""LUTs for a design without a target: about an iCE40HX8K, a third of an LFE5U-25F."""

SHOWN = 4
"""Binding stages of which the log says what a faster fold would cost."""

ROUNDS = 5
"""Times at most that the depths of the shortcuts' FIFOs are taken from the design found last."""


RESOURCES = ("LUTs", "flip-flops", "block RAMs")
"""What a design takes of a device."""


@dataclass(frozen=True, eq=False)
class Choice:
    """What a search found.

    Attributes: ``design``; ``cycles``, that its slowest stage needs; ``interval``, cycles between frames by the cycle
    law (both means, where words may be skipped); ``cost``, LUTs (with those of LUT RAM), flip-flops and block RAMs by
    the cost model; ``log``, lines that say what was asked for, what was found and what binds.
    """

    design: Design
    cycles: int
    interval: float
    cost: np.ndarray
    log: list[str]

    @property
    def folds(self) -> dict[str, Fold]:
        """The folds by stage."""
        return self.design.folds


def search(
    network: Network,
    cycles: int | None = None,
    device: str | None = None,
    given: dict[str, Fold] | None = None,
    counts: bool = True,
    rates: WordRates | None = None,
) -> Choice:
    """The smallest design of one frame every ``cycles`` cycles (that fits ``device``), or without ``cycles`` the
    fastest that fits ``device``; without either the least LUTs x cycles of :data:`DEFAULT_AREA` LUTs or fewer.
    Stages in ``given`` have the folds given; ``counts`` as in :class:`~.design.Design`. With ``rates`` stages may skip
    all-zero words, and all cycles are means over its frames: those that a stage needs, which the search goes by, and
    those of the cycle law, which has the last word; where no design with skipping is fast enough, there is none in it.

    Raises PlanError naming the stage or the resource that makes it impossible.
    """
    goal = _Goal(network, cycles, _device(device), given or {}, counts, rates)
    target, reached, hurried = cycles, math.inf, False
    while True:
        try:
            found, design = goal.settle(target)
        except PlanError as error:
            if not hurried:
                raise
            raise _stalling(cycles, reached) from error
        figures = performance(design, None if rates is None or not design.sparse else rates.frames)
        if cycles is None or figures["interval"] <= cycles:
            break
        # The law knows of stalls that no stage alone shows: go on with the next faster design.
        slower = goal.cycles_of(found)
        goal.log.append(f"the cycle law gives {figures['interval']:,.0f} cycles where the slowest stage needs "
                        f"{slower:,}: searching for a faster one")  # fmt: skip
        target, reached = slower - 1, min(reached, figures["interval"])
        if target < goal.fastest and rates is not None:
            dense = search(network, cycles, device, given, counts)
            goal.log.append("no faster one skips words: searching without")
            return replace(dense, log=goal.log + dense.log)
        if target < goal.fastest:
            # A stage that is done with its words before the next ones come makes others wait less.
            if not goal.hurry(found):
                raise _stalling(cycles, reached)
            goal.log.append("words bind and no stage: searching for stages that are done before the next words come")
            target, hurried = cycles, True
    return goal.choice(found, design, figures)


def _stalling(cycles: int | None, reached: float) -> PlanError:
    least = f"{math.ceil(reached):,}"
    return PlanError(
        f"no design of {cycles:,} cycles a frame was found: stages wait for each other, so that by the cycle "
        f"law the fastest that was tried takes {least}; choose a target of {least} or more"
    )


def auto(
    network: Network, cycles: int | None = None, device: str | None = None, counts: bool = True
) -> dict[str, Fold]:
    """The folds that :func:`search` finds."""
    return search(network, cycles, device, counts=counts).folds


def designed(
    network: Network,
    given: dict[str, Fold],
    cycles: int | None = None,
    device: str | None = None,
    counts: bool = True,
    rates: WordRates | None = None,
) -> tuple[Design, list[str]]:
    """The design with ``given`` folds, completed by :func:`search` for the stages without one, and the search's log."""
    names = {layer.name for layer in layers(network)}
    if unknown := sorted(set(given) - names):
        raise PlanError(f"{unknown[0]}: no such stage; the stages are {', '.join(sorted(names))}")
    if names == set(given):
        return Design(network, given, counts), []
    found = search(network, cycles, device, given, counts, rates)
    return found.design, found.log


def with_given(
    network: Network, given: dict[str, Fold], cycles: int | None = None, device: str | None = None
) -> dict[str, Fold]:
    """``given`` folds, completed by :func:`search` for the stages without one."""
    return designed(network, given, cycles, device)[0].folds


def _device(name: str | None) -> Device | None:
    if name is not None and name not in DEVICES:
        raise PlanError(f"device must be one of {', '.join(DEVICES)}, not {name!r}")
    return DEVICES[name] if name is not None else None


class _Goal:
    """A search: the network's tables of candidates, what is asked for, and the ``log``."""

    def __init__(
        self,
        network: Network,
        cycles: int | None,
        device: Device | None,
        given: dict[str, Fold],
        counts: bool,
        rates: WordRates | None,
    ) -> None:
        self.network, self.cycles, self.device, self.counts = network, cycles, device, counts
        self.budget = device.budget if device is not None else None
        self.layers = layers(network, counts)
        self.tables = [
            Table(layer, [given[layer.name]] if layer.name in given else None, logic=device is not None, rates=rates)
            for layer in self.layers
        ]
        self.arcs: list[Arcs] = []
        self.log: list[str] = []
        if rates is not None:
            self.log.append(f"stages may skip all-zero words; cycles are means over {len(rates.frames):,} frames")
        if cycles is not None:
            self.log.append(f"target: a frame every {cycles:,} cycles")
            for table in self.tables:
                if table.fastest > cycles:
                    raise PlanError(
                        f"{table.layer.name}: needs at least {table.fastest} cycles a frame, more than the target of "
                        f"{cycles}; choose a target of {table.fastest} or more"
                    )
        if device is not None:
            luts, ff, ebr = device.budget
            self.log.append(
                f"device: {device.name}, of whose {device.luts:,} LUTs and flip-flops {luts:,.0f} and of whose "
                f"{device.ebr} block RAMs {ebr:.0f} may be used"
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
        lags, designs = first_lags(self.layers), []
        while True:
            self.arcs = lattice(self.network, self.tables, lags)
            found = self._best(target)
            folds = self._folds(found)
            if known := [design for design in designs if design.folds == folds]:
                return found, known[0]
            designs.append(Design(self.network, folds, self.counts))
            if not lags or len(designs) == ROUNDS:
                return found, designs[-1]
            lags = lags_of(designs[-1])

    def _folds(self, found: Found) -> dict[str, Fold]:
        pairs = zip(self.layers, self.arcs, found.choices, strict=True)
        return {layer.name: arcs.candidates[k].fold for layer, arcs, k in pairs}

    def _best(self, target: int | None) -> Found:
        if target is not None:
            found = smallest(self.arcs, target, self.budget)
            if found is None:
                raise self._too_large(target)
            return found
        steps = np.unique(np.concatenate([arcs.cycles for arcs in self.arcs]))
        slowest = max(arcs.cycles.min() for arcs in self.arcs)
        steps = steps[steps >= slowest].tolist()
        return self._fastest(steps) if self.budget is not None else self._best_product(steps)

    def _fastest(self, steps: Sequence[int]) -> Found:
        """The smallest of the fastest designs that fit: what fits in some cycles fits in more of them."""
        assert self.budget is not None
        low, high = 0, len(steps) - 1
        if not fits(self.arcs, steps[high], self.budget):
            raise self._too_large(steps[high])
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if fits(self.arcs, steps[middle], self.budget) else (middle + 1, high)
        if low:
            self.log.append(f"no design of {steps[low - 1]:,} cycles a frame, the next fewer, fits the device")
        found = smallest(self.arcs, steps[low], self.budget)
        assert found is not None
        return found

    def _best_product(self, steps: Sequence[int]) -> Found:
        """The least LUTs x cycles of those that fit :data:`DEFAULT_AREA`; where none does, the smallest."""
        best: tuple[float, Found] | None = None
        slowest = smallest(self.arcs, steps[-1])
        limit = DEFAULT_AREA if slowest is None else max(DEFAULT_AREA, float(slowest.cost[0]))
        for cycles in reversed(steps):
            floor = sum(arcs.cost[arcs.cycles <= cycles, 0].min() for arcs in self.arcs)
            if floor > limit * (1 + 1e-9):  # two sums of the same numbers may differ in their last bits
                break  # faster ones are larger still
            if best is not None and floor * cycles >= best[0]:
                continue
            found = smallest(self.arcs, cycles)
            assert found is not None
            if found.cost[0] <= limit and (best is None or found.cost[0] * cycles < best[0]):
                best = float(found.cost[0]) * cycles, found
        assert best is not None
        return best[1]

    def cycles_of(self, found: Found) -> int:
        """Cycles that the slowest stage of a design needs."""
        return max(arcs.candidates[k].cycles for arcs, k in zip(self.arcs, found.choices, strict=True))

    def _too_large(self, target: int) -> PlanError:
        found = smallest(self.arcs, target)
        assert found is not None and self.device is not None and self.budget is not None
        over = [
            f"{used:,.0f} {name} of {most:,.0f}"
            for used, most, name in zip(found.cost, self.budget, RESOURCES, strict=True)
            if used > most
        ]
        return PlanError(
            f"no design of {target:,} cycles a frame fits {self.device.name}: the one with the fewest LUTs takes "
            f"{', '.join(over)}; choose a larger device{'' if self.cycles is None else ' or more cycles'}"
        )

    def choice(self, found: Found, design: Design, figures: dict) -> Choice:
        """The result, with the log completed."""
        cycles, interval = self.cycles_of(found), figures["interval"]
        luts, ff, ebr = found.cost
        self.log.append(
            f"found: a frame every {interval:,.{0 if interval == int(interval) else 1}f} cycles, "
            f"about {luts:,.0f} LUTs, {ff:,.0f} flip-flops, {ebr:.0f} block RAMs"
        )
        if self.budget is not None:
            shares = found.cost / self.budget
            name = RESOURCES[int(shares.argmax())]
            self.log.append(f"of what may be used of the device: {100 * shares.max():.0f} % of the {name}")
        slowest = [
            (arcs, k, layer.name)
            for arcs, k, layer in zip(self.arcs, found.choices, self.layers, strict=True)
            if arcs.candidates[k].cycles == cycles
        ]
        for arcs, k, name in slowest[:SHOWN]:
            self.log.append(self._binding(arcs, k, name, interval))
        if len(slowest) > SHOWN:
            self.log.append(f"so do {', '.join(name for _, _, name in slowest[SHOWN:])}")
        if (faster := self._step(cycles)) is not None:
            steps, more = faster
            luts, ff, ebr = more.cost - found.cost
            self.log.append(
                f"one step faster, {steps:,} cycles, all together: {luts:+,.0f} LUTs, {ff:+,.0f} flip-flops, "
                f"{ebr:+.0f} block RAMs"
            )
        return Choice(design, cycles, interval, found.cost, self.log)

    def _step(self, cycles: int) -> tuple[int, Found] | None:
        """The smallest design of the next fewer cycles, on whatever device."""
        steps = np.concatenate([arcs.cycles[arcs.cycles < cycles] for arcs in self.arcs])
        found = smallest(self.arcs, int(steps.max())) if len(steps) else None
        return (int(steps.max()), found) if found is not None else None

    def _binding(self, arcs: Arcs, k: int, name: str, interval: float) -> str:
        """A line on a stage that is as slow as the design: what the next faster fold of it would cost."""
        mine, areas = arcs.candidates[k], arcs.areas[:, 0]
        text = f"{name} binds: {mine.cycles:,} cycles, busy in {100 * mine.cycles / interval:.1f} % of the time"
        faster = [j for j, candidate in enumerate(arcs.candidates) if candidate.cycles < mine.cycles]
        if not faster:
            return f"{text}; it has no faster fold"
        j = min(faster, key=lambda j: (-arcs.candidates[j].cycles, areas[j]))
        other = arcs.candidates[j]
        return (
            f"{text}; its next faster fold, {other.fold.text(flags=['skip'])}, takes {other.cycles:,} cycles and "
            f"{areas[j] - areas[k]:+,.0f} LUTs"
        )
