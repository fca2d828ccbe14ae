"""Views of a waveform of the cycles around a difference: what GTKWave and Surfer show, and where their cursor is."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from vcd.gtkw import GTKWSave

from .ports import BoundaryPort, DesignPorts

__all__ = ["AFTER", "BEFORE", "TIME_UNITS", "View", "write_view"]

BEFORE, AFTER = 50, 20
"""Cycles before and after a difference in a waveform."""

TIME_UNITS = 10
"""Units of time in a cycle of a waveform; a cycle begins with the rising edge of the clock."""


@dataclass(frozen=True)
class View:
    """A waveform with its views: ``waves``, the VCD; ``gtkwave``, a save file; ``surfer``, a file of commands."""

    waves: Path
    gtkwave: Path
    surfer: Path

    @property
    def commands(self) -> tuple[str, str]:
        """What opens it in GTKWave and in Surfer."""
        waves, gtkwave, surfer = (shlex.quote(str(path)) for path in (self.waves, self.gtkwave, self.surfer))
        return f"gtkwave {gtkwave}", f"surfer --command-file {surfer} {waves}"


def write_view(waves: Path, ports: DesignPorts, boundary: str, cycle: int) -> View:
    """Write views of ``waves`` beside it: clock, reset and all boundaries, first the one called ``boundary`` and its
    neighbours, with the cursor at the beginning of ``cycle``."""
    scopes = _scopes(waves)
    places = [port.name for port in ports.boundaries]
    here = places.index(boundary)
    near = ports.boundaries[max(0, here - 1) : here + 2]
    groups = [("difference: " + boundary, (ports.boundaries[here],)), ("around it", near), ("all", ports.boundaries)]
    time = TIME_UNITS * cycle
    gtkwave, surfer = (waves.with_name(waves.name + ending) for ending in (".gtkw", ".sucl"))
    with gtkwave.open("w") as file:
        save = GTKWSave(file)
        save.dumpfile(str(waves.resolve()))
        save.timestart(max(0, time - 20 * TIME_UNITS))
        save.zoom_markers(-5.0, marker=time)
        for name in ("clk", "rst"):
            save.trace(_path(scopes, name))
        for title, boundaries in groups:
            with save.group(title, closed=title == "all"):
                for port in boundaries:
                    for signal, width in _signals(port):
                        save.trace(_path(scopes, signal) + (f"[{width - 1}:0]" if width > 1 else ""), datafmt="hex")
    lines = [f"variable_add {_path(scopes, name)}" for name in ("clk", "rst")]
    for title, boundaries in groups[:2]:
        lines.append(f"divider_add {title}")
        lines += [f"variable_add {_path(scopes, signal)}" for port in boundaries for signal, _ in _signals(port)]
    surfer.write_text("\n".join([*lines, f"cursor_set {time}", "zoom_fit"]) + "\n")
    return View(waves, gtkwave, surfer)


def _signals(port: BoundaryPort) -> list[tuple[str, int]]:
    return [(f"{port.signal}_valid", 1), (f"{port.signal}_ready", 1), (f"{port.signal}_payload", port.width)]


def _scopes(waves: Path) -> dict[str, str]:
    """The path of every signal of the top module in a VCD, by its name; the outermost where there are several."""
    found: dict[str, str] = {}
    scopes: list[str] = []
    with waves.open() as file:
        for line in file:
            if match := re.match(r"\s*\$scope \w+ (\S+)", line):
                scopes.append(match[1])
            elif "$upscope" in line:
                scopes.pop()
            elif match := re.match(r"\s*\$var \w+\s+\d+ \S+ (\S+)", line):
                found.setdefault(match[1], ".".join([*scopes, match[1]]))
            elif "$enddefinitions" in line:
                break
    return found


def _path(scopes: dict[str, str], name: str) -> str:
    return scopes.get(name, name)
