"""Bitstreams of the networks that are shown on boards, and the tables of ``docs/boards.md`` and ``README.md``.

``python -m benchmarks.boards`` builds them (``build/boards/NAME``), keeps their reports in ``benchmarks/boards.json``
and writes the tables again; with names it builds these only, with ``--tables`` none.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from spikeloom.gen.targets.boards.pins import pinout
from spikeloom.gen.targets.boards.table import BOARDS

__all__ = ["DOCUMENT", "README", "RECORDS", "SHOWN", "Shown", "figures", "main", "record", "regenerated"]

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "boards.md"
README = ROOT / "README.md"
RECORDS = ROOT / "benchmarks" / "boards.json"


class Shown(NamedTuple):
    """A network on a board, with the ``folds`` asked for, ``--cycles N`` or ``--fold FILE``, and ``more`` options, a
    clock and seeds."""

    title: str
    network: str
    board: str
    folds: tuple[str, str]
    more: tuple[str, ...] = ()

    def command(self, folder: str, jobs: int = 1) -> list[str]:
        """The arguments of ``spikeloom`` that build it in ``folder``, with ``jobs`` placements at once."""
        at_once = ["--jobs", str(jobs)] if jobs > 1 else []
        return ["build", self.network, "--board", self.board, *self.folds, *self.more, *at_once, "-o", folder]


_DIGITS = ("digits, spiking, T = 4", "models/digits-t4w4.safetensors")
_MNIST = ("MNIST, IntegerNet, 4 bits", "models/mnist-integernet-w4a4.safetensors")

SHOWN = {
    "digits-icebreaker": Shown(*_DIGITS, "icebreaker", ("--fold", "examples/digits_icebreaker_fold.toml"),
                               ("--clock", "35.25", "--seeds", "8")),
    "digits-tang-nano-9k": Shown(*_DIGITS, "tang-nano-9k", ("--cycles", "4000")),
    "mnist-ulx3s-85f": Shown(*_MNIST, "ulx3s-85f", ("--cycles", "2400"), ("--seeds", "3")),
}
"""What is shown, by name."""

# The cells of a part in the table, by the first name that a report knows.
_COLUMNS = {"logic": ("ICESTORM_LC", "TRELLIS_COMB", "LUT4"), "flip-flops": ("TRELLIS_FF", "DFF"),
            "block RAM": ("ICESTORM_RAM", "DP16KD", "BSRAM")}


def record(name: str, folder: Path) -> None:
    """Take the report of ``folder``, where ``name`` was built, into ``boards.json``."""
    report = json.loads((folder / "report.json").read_text())
    predicted = json.loads((folder / "design" / "design.json").read_text())["predicted"]
    report |= {key: predicted[key] for key in ("interval_cycles", "latency_cycles")}
    report["command"] = " ".join(["spikeloom", *SHOWN[name].command(f"out/{name}")])
    report["date"] = datetime.now(UTC).date().isoformat()
    records = figures() | {name: report}
    RECORDS.write_text(json.dumps({key: records[key] for key in SHOWN if key in records}, indent=1) + "\n")


def figures() -> dict[str, Any]:
    """The reports of ``boards.json`` by name."""
    return json.loads(RECORDS.read_text()) if RECORDS.is_file() else {}


def _built(records: dict[str, Any]) -> str:
    head = ("network", "board", "cycles a frame", "logic cells", "flip-flops", "block RAM", "clock, MHz",
            "nextpnr, MHz", "timing met", "frames/s of the core")
    left = ("network", "board", "timing met")
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join('---' if name in left else '---:' for name in head)} |"]
    for name, report in records.items():
        used = report["used"]
        cells = []
        for names in _COLUMNS.values():
            found = next((used[cell] for cell in names if cell in used), None)
            cells.append(f"{found['used']:,} of {found['available']:,}" if found else "in the logic cells")
        mhz = report["clock"]["mhz"]
        timing = report["timing"]
        row = (SHOWN[name].title, BOARDS[report["board"]].title, f"{report['interval_cycles']:,}", *cells, f"{mhz:.6g}",
               f"{timing['achieved_mhz']:.2f}", "yes" if timing["met"] else "no",
               f"{1e6 * mhz / report['interval_cycles']:,.0f}")
        lines.append(f"| {' | '.join(row)} |")
    commands = "\n".join(report["command"] for report in records.values())
    return "\n".join(lines) + f"\n\n```\n{commands}\n```\n"


def _boards(records: dict[str, Any]) -> str:
    lines = ["| board | `--board` | part | clock | made with | built and timed | tried on the board |",
             "| --- | --- | --- | --- | --- | --- | --- |"]
    tools = {"ice40": "nextpnr-ice40, icepack", "ecp5": "nextpnr-ecp5, ecppack", "vivado": "Vivado, not here",
             "gowin": "nextpnr-himbaechel, gowin_pack", "quartus": "Quartus, not here"}
    for board in BOARDS.values():
        mine = [name for name, report in records.items() if report["board"] == board.name]
        shown = [SHOWN[name].title.partition(",")[0] for name in mine]
        clock = f"{float(board.oscillator_mhz):g} MHz" + (", PLL" if board.pll else "")
        built = ", ".join(shown) if shown else "no, by the same flow" if board.built else "no: a project only"
        row = (board.title, f"`{board.name}`", board.part, clock, tools[board.flow], built, "no")
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def regenerated(text: str, records: dict[str, Any]) -> str:
    """Return ``text`` with its tables as the boards and ``records`` give them."""
    def block(match: re.Match[str]) -> str:
        kind, _, name = match[2].partition(": ")
        made = {"pinout": lambda: pinout(BOARDS[name]), "built": lambda: _built(records),
                "boards": lambda: _boards(records)}[kind]()
        return f"{match[1]}{made}{match[3]}"

    return re.sub(r"(<!-- ((?:pinout: |built|boards)[\w-]*) -->\n).*?(<!-- end -->)", block, text, flags=re.DOTALL)


def main() -> int:
    """Build and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*SHOWN, []], metavar="NAME", help=", ".join(SHOWN))
    parser.add_argument("--tables", action="store_true", help="build nothing")
    parser.add_argument("--jobs", type=int, default=1, help="placements at once")
    options = parser.parse_args()
    for name in [] if options.tables else options.names or SHOWN:
        folder = ROOT / "build" / "boards" / name
        command = [sys.executable, "-m", "spikeloom", *SHOWN[name].command(str(folder), options.jobs)]
        print(" ".join(command[2:]), flush=True)
        subprocess.run(command, cwd=ROOT, check=True)
        record(name, folder)
    for path in (DOCUMENT, README):
        text = path.read_text()
        if (after := regenerated(text, figures())) != text:
            path.write_text(after)
            print(f"{path.relative_to(ROOT)}: tables written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
