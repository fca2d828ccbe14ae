"""Projects for the tools of the makers of FPGAs, for boards whose bitstream is not made here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...design import Design
from ...tops import link
from .. import yosys
from ..boards.table import Board, BoardError
from ..boards.top import NAME, clock_below, files
from .bitstream import BAUD

__all__ = ["COMMANDS", "NOT_BUILT", "project"]

COMMANDS = {
    "vivado": (f"vivado -mode batch -source {NAME}.tcl",),
    "quartus": tuple(f"quartus_{step} --rev={NAME} {NAME}" for step in ("map", "fit", "asm", "sta")),
}
"""What makes a bitstream of a project, by flow; to be run in its folder."""

BITSTREAMS = {"vivado": f"{NAME}.bit", "quartus": f"{NAME}.sof"}
"""The bitstreams that they write."""

NOT_BUILT = "not built here: the maker's tools are needed, and no bitstream of this project was ever made or tried"
"""What is said of every project."""


def project(
    design: Design,
    board: Board,
    folder: str | Path,
    *,
    baud: int = BAUD,
    mhz: float | None = None,
    progress: Callable[[str, float, int], None] = lambda _what, _done, _all: None,
) -> dict[str, Any]:
    """Write Verilog, pins, clocks and scripts of ``design`` on ``board`` into ``folder``; return its ``report.json``.

    ``mhz``: the clock, None: the board's goal, which its maker's tools may find too fast. Raises BoardError where the
    board's bitstream is made here, PllError where the board has no such clock.
    """
    if board.built:
        raise BoardError(f"{board.name}: its bitstream is made here, it needs no project for its maker's tools")
    work = Path(folder)
    work.mkdir(parents=True, exist_ok=True)
    progress("project", 0, 0)
    clock = clock_below(board, board.goal_mhz if mhz is None else mhz)
    texts = files(board, clock, link.TOP, link.verilog(design, clock.hz, baud))
    top = texts.pop(f"{NAME}.il")
    script = "#!/bin/sh\nset -e\n" + "".join(f"{command}\n" for command in COMMANDS[board.flow])
    texts |= {"build.sh": f"{script[:10]}# {board.title}, {board.part}: {NOT_BUILT}.\n{script[10:]}"}
    for name, text in texts.items():
        (work / name).write_text(text)
    (work / f"{NAME}.il").write_text(top)
    yosys.run([f"read_rtlil {NAME}.il", "proc", f"write_verilog -norename {NAME}.v"], work)
    (work / f"{NAME}.il").unlink()
    contents = {
        "board": board.name,
        "part": board.part,
        "network": design.network.hash,
        "built": False,
        "statement": NOT_BUILT,
        "clock": {"mhz": float(clock.mhz), "oscillator_mhz": float(board.oscillator_mhz)},
        "baud": baud,
        "files": sorted([*texts, f"{NAME}.v"]),
        "commands": list(COMMANDS[board.flow]),
        "program": board.program.format(file=BITSTREAMS[board.flow]),
    }
    (work / "report.json").write_text(json.dumps(contents, indent=2) + "\n")
    return contents
