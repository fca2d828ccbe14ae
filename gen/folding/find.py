"""The search for folds: the smallest design for a cycle target, or the fastest one that fits a device."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ...quant.ir.network import Network
from ..design import Design
from ..emit.writer import performance
from ..errors import PlanError
from ..lowering.layers import layers
from ..targets.fpga.devices import DEVICES, Device
from .fold import Fold
from .goal import Goal
from .log import answered
from .rates import WordRates

__all__ = ["Choice", "auto", "designed", "search", "with_given"]

@dataclass(frozen=True, eq=False)
class Choice:
    """What a search found.

    Attributes: ``design``; ``cycles``, that its slowest stage needs; ``interval``, cycles between frames by the cycle
    law (both means, where words may be skipped); ``cost``, LUTs (with those of LUT RAM), flip-flops, block RAMs and
    multipliers by the cost model; ``log``, lines that say what was asked for, what was found and what binds.
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
    dsp: int = 0,
) -> Choice:
    """The smallest design of one frame every ``cycles`` cycles (that fits ``device``), or without ``cycles`` the
    fastest that fits ``device``; without either the least LUTs x cycles of :data:`.goal.DEFAULT_AREA` LUTs or fewer.
    Stages in ``given`` have the folds given; ``counts`` as in :class:`~.design.Design`. With ``rates`` stages may skip
    all-zero words, and all cycles are means over its frames: those that a stage needs, which the search goes by, and
    those of the cycle law, which has the last word; where no design with skipping is fast enough, there is none in it.
    ``dsp``: so many multipliers at most may take the place of gated additions.

    Raises PlanError naming the stage or the resource that makes it impossible.
    """
    chosen = _device(device)
    if chosen is not None and dsp > chosen.dsp:
        raise PlanError(f"dsp={dsp} is more than the {chosen.dsp} multipliers that {device} has")
    goal = Goal(network, cycles, chosen, given or {}, counts, rates, dsp)
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
            dense = search(network, cycles, device, given, counts, dsp=dsp)
            goal.log.append("no faster one skips words: searching without")
            return replace(dense, log=goal.log + dense.log)
        if target < goal.fastest:
            # A stage that is done with its words before the next ones come makes others wait less.
            if not goal.hurry(found):
                raise _stalling(cycles, reached)
            goal.log.append("words bind and no stage: searching for stages that are done before the next words come")
            target, hurried = cycles, True
    log = goal.log + answered(goal, found, figures["interval"])
    return Choice(design, goal.cycles_of(found), figures["interval"], found.cost, log)


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
    dsp: int = 0,
) -> tuple[Design, list[str]]:
    """The design with ``given`` folds, completed by :func:`search` for the stages without one, and the search's log."""
    names = {layer.name for layer in layers(network)}
    if unknown := sorted(set(given) - names):
        raise PlanError(f"{unknown[0]}: no such stage; the stages are {', '.join(sorted(names))}")
    if names == set(given):
        return Design(network, given, counts), []
    found = search(network, cycles, device, given, counts, rates, dsp)
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
