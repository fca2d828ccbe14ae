"""The regression: verification in bulk beside the same check in cocotb, and designs after synthesis."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.find import auto
from spikeloom.gen.targets.fpga.netlist import FAMILIES
from spikeloom.quant import data
from spikeloom.sim.verify import Outcome, verify

from .works import WORKS, Work

__all__ = ["FRAMES", "NETLISTS", "Figures", "RegressionError", "bulk", "netlist"]

Figures = dict[str, tuple[float, str]]
"""Value and unit by metric."""

FRAMES = 1000
"""Frames of the bulk verification."""

NETLISTS: dict[str, int | None] = {"digits": None, "A": 512}
"""The works that are simulated after synthesis, and the cycle target of their design."""

NETLIST_FRAMES = 30


class RegressionError(RuntimeError):
    """A design that differs from its prediction; its figures would mean nothing."""


def _checked(what: str, run: Callable[[], Outcome]) -> tuple[Outcome, float, float]:
    """An outcome with the seconds that it took without builds, and the processor seconds of all its processes."""
    wall, cpu = time.perf_counter(), os.times()
    outcome = run()
    seconds = time.perf_counter() - wall - outcome.build_seconds
    if not outcome.passed:
        raise RegressionError(f"{what}: differs from the prediction\n" + "\n".join(map(str, outcome.differences)))
    return outcome, seconds, sum(os.times()[:4]) - sum(cpu[:4])


def bulk(folder: Path) -> Figures:
    """The digits network on :data:`FRAMES` images with two jobs, and the same in cocotb on Verilator."""
    work = WORKS["digits"]()
    digits = data.load("digits")
    frames = np.concatenate([digits.test_x, digits.train_x])[:FRAMES]
    design = Design(work.network, auto(work.network))
    contents = emit.write(design, folder)
    verify(design, contents, folder, frames[:1])  # builds
    ours, seconds, cpu = _checked("bulk", lambda: verify(design, contents, folder, frames, jobs=2))
    theirs, slow, slow_cpu = _checked("cocotb", lambda: verify(design, contents, folder, frames, simulator="cocotb"))
    return {
        "frames": (ours.frames, "frames"),
        "boundaries": (ours.boundaries, "boundaries"),
        "cycles": (ours.cycles, "cycles"),
        "transfers": (ours.transfers, "transfers"),
        "bulk_seconds": (round(seconds, 2), "s after the build"),
        "cocotb_seconds": (round(slow, 2), "s after the build"),
        "cocotb_cycles": (theirs.cycles, "cycles"),
        "times_faster": (round(slow / seconds, 1), "cocotb_seconds / bulk_seconds"),
        # The build of cocotb's model is in this figure, so it is not set against the next one.
        "bulk_cpu_seconds": (round(cpu, 2), "processor s"),
        "cocotb_cpu_seconds": (round(slow_cpu, 2), "processor s with the build"),
    }


def _cells(cells: dict[str, int], family: str) -> dict[str, Any]:
    luts, registers = ("LUT4", "TRELLIS_FF") if family == "ecp5" else ("SB_LUT4", "SB_DFF")
    return {
        "luts": (cells[luts], luts),
        "registers": (sum(n for cell, n in cells.items() if cell.startswith(registers)), registers),
        "rams": (sum(cells.get(cell, 0) for cell in ("DP16KD", "SB_RAM40_4K")), "block RAMs"),
    }


def netlist(name: str, target: int | None, folder: Path) -> dict[str, Figures]:
    """A design after synthesis for each family, by "work on family": every boundary; and the digits' netlists as they
    are placed, at their ports."""
    work: Work = WORKS[name]()
    design = Design(work.network, auto(work.network, target))
    contents = emit.write(design, folder)
    found = {}
    for family in FAMILIES:
        for plain in (False, True)[: 1 + (name == "digits")]:
            what = f"{name} on {family}, {'ports' if plain else 'all boundaries'}"
            frames = work.frames[:NETLIST_FRAMES]

            def run(family: str = family, plain: bool = plain, frames: np.ndarray = frames) -> Outcome:
                return verify(design, contents, folder, frames, netlist=family, plain=plain)

            outcome, seconds, _ = _checked(what, run)
            found[what] = {
                "frames": (outcome.frames, "frames"),
                "boundaries": (outcome.boundaries, "boundaries"),
                "cycles": (outcome.cycles, "cycles"),
                "transfers": (outcome.transfers, "transfers"),
                **_cells(outcome.cells, family),
                "netlist_seconds": (round(seconds, 2), "s after the build"),
                # Nothing is built that is in the cache.
                **({"build_seconds": (round(outcome.build_seconds, 1), "s")} if outcome.build_seconds else {}),
            }
    return found
