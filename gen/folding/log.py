"""The log of a search for folds: what was asked for, what was found, what binds, and what would be faster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..targets.fpga.devices import RESOURCES, Device
from .lattice import Arcs
from .least import Found
from .rates import WordRates

if TYPE_CHECKING:
    from .goal import Goal

__all__ = ["answered", "asked"]

SHOWN = 4
"""Binding stages of which the log says what a faster fold would cost."""


def asked(cycles: int | None, device: Device | None, rates: WordRates | None, dsp: int) -> list[str]:
    """Lines on what is searched for; parameters as those of :func:`.find.search`."""
    lines = []
    if rates is not None:
        lines.append(f"stages may skip all-zero words; cycles are means over {len(rates.frames):,} frames")
    if cycles is not None:
        lines.append(f"target: a frame every {cycles:,} cycles")
    if device is not None:
        luts, _, ebr, _ = device.budget
        lines.append(
            f"device: {device.name}, of whose {device.luts:,} LUTs and flip-flops {luts:,.0f} and of whose "
            f"{device.ebr} block RAMs {ebr:.0f} may be used"
        )
    if dsp:
        lines.append(f"multipliers: {dsp} at most{f' of the {device.dsp} of the device' if device is not None else ''}")
    return lines


def answered(goal: Goal, found: Found, interval: float) -> list[str]:
    """Lines on the design ``found`` for ``goal``, which takes a frame every ``interval`` cycles by the cycle law."""
    cycles = goal.cycles_of(found)
    luts, ff, ebr, dsp = found.cost
    digits = 0 if interval == int(interval) else 1
    about = f"about {luts:,.0f} LUTs, {ff:,.0f} flip-flops, {ebr:.0f} block RAMs"
    about += f", {dsp:.0f} multipliers" if dsp else ""
    lines = [f"found: a frame every {interval:,.{digits}f} cycles, {about}"]
    if found.above:
        lines.append(f"at most {100 * found.above:.1f} % above the smallest: there are too many to try all of them")
    if goal.budget is not None:
        shares = found.cost / np.maximum(goal.budget, 1)
        name = RESOURCES[int(shares.argmax())]
        lines.append(f"of what may be used of the device: {100 * shares.max():.0f} % of the {name}")
    slowest = [
        (arcs, k, layer.name)
        for arcs, k, layer in zip(goal.arcs, found.choices, goal.layers, strict=True)
        if arcs.candidates[k].cycles == cycles
    ]
    lines += [_binding(arcs, k, name, interval) for arcs, k, name in slowest[:SHOWN]]
    if len(slowest) > SHOWN:
        lines.append(f"so do {', '.join(name for _, _, name in slowest[SHOWN:])}")
    if (faster := goal.faster(cycles)) is not None:
        steps, more = faster
        luts, ff, ebr, _ = more.cost - found.cost
        lines.append(
            f"one step faster, {steps:,} cycles, all together: {luts:+,.0f} LUTs, {ff:+,.0f} flip-flops, "
            f"{ebr:+.0f} block RAMs"
        )
    return lines


def _binding(arcs: Arcs, k: int, name: str, interval: float) -> str:
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
