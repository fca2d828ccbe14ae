"""What a counterexample shows: the rules that fail, and the wires of the bench cycle by cycle."""

from __future__ import annotations

import re
from pathlib import Path

from proof_bench import Bench, wire_name

__all__ = ["counterexample"]


def counterexample(waves: Path, bench: Bench) -> tuple[list[str], str]:
    """The rules that fail in the last cycle of a VCD file, and its wires of the bench as a table."""
    names: dict[str, str] = {}
    depth, steps, now = 0, [], {}
    for line in waves.read_text().splitlines():
        if match := re.match(r"\$var \w+ \d+ (\S+) (\S+)", line):
            if depth == 1:
                names[match[1]] = match[2].lstrip("\\")
        elif line.startswith("$scope"):
            depth += 1
        elif line.startswith("$upscope"):
            depth -= 1
        elif line.startswith("#"):
            steps += [dict(now)] if now else []
        elif line.startswith("b"):
            value, code = line[1:].split()
            now[code] = value
        elif line[:1] in "01x" and line[1:]:
            now[line[1:]] = line[0]
    by_name = {name: code for code, name in names.items()}
    shown = [
        n
        for n in by_name
        if re.fullmatch(r"\w+", n) and not n.startswith(("_", "past_", "rst", "start_clk", "clk", "smt"))
    ]
    broken = [rule for rule in bench.rules if now.get(by_name.get(wire_name("rule", rule), "")) == "0"]
    cycles = steps[::2]  # a cycle has two steps, one for each edge of the clock
    rows = [["cycle", *map(str, range(len(cycles)))]]
    rows += [[name, *(f"{int(step[by_name[name]], 2):x}" for step in cycles)] for name in sorted(shown)]
    width = max(len(cell) for row in rows for cell in row[1:]) + 1
    lines = (f"{row[0]:<40}" + "".join(cell.rjust(width) for cell in row[1:]) for row in rows)
    return broken, "\n".join(lines)
