"""What the frames of a verification reached, as a table with bars and a few warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .console import percent

if TYPE_CHECKING:
    from .sim.reach import DesignReach

__all__ = ["reach_lines", "reach_table"]

WARNINGS = 8
"""Warnings that are shown."""

CELLS = 10
"""Characters of a bar."""


def reach_table(reach: DesignReach) -> Any:
    """A line for each layer."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from .sim.reach import MOVED, TAKEN

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for k, column in enumerate(("layer", "branches taken", "constants by one", "values", "all-zero windows", "cannot")):
        made.add_column(column, justify="left" if k < 3 else "right", overflow="fold")
    for layer in reach.layers:
        zero, windows = layer.windows
        made.add_row(
            Text(layer.name),
            _bar(layer.counts(TAKEN)),
            _bar(layer.counts(MOVED)),
            _share(layer.counts("values")),
            percent(zero / windows) if windows else "",
            f"{layer.counts(TAKEN, MOVED)[2] or ''}",
        )
    return made


def _bar(counts: tuple[int, int, int]) -> Any:
    """How many of all that can be."""
    from rich.text import Text

    seen, can, _ = counts
    if not can:
        return Text("")
    full = CELLS * seen // can
    colour = "green" if seen == can else "yellow" if 2 * seen >= can else "red"
    return Text.assemble(("█" * full, colour), ("░" * (CELLS - full), "dim"), f" {seen:,} of {can:,}")


def _share(counts: tuple[int, int, int]) -> str:
    return f"{100 * counts[0] / counts[1]:.0f} %" if counts[1] else ""


def reach_lines(reach: DesignReach) -> list[str]:
    """The sum of it, and the first warnings."""
    from .sim.reach import MOVED, TAKEN

    found = reach.warnings()
    frames = f"{reach.frames:,} frame{'s' * (reach.frames != 1)}"
    shares = [percent(reach.share(what)) for what in (TAKEN, MOVED)]
    moved = f"of thresholds and biases moved by one they would show {shares[1]}"
    lines = [f"{frames} took {shares[0]} of the branches that can be taken; {moved}"]
    lines += [f"warning: {text} in {frames}" for text in found[:WARNINGS]]
    if len(found) > WARNINGS:
        lines.append(f"and {len(found) - WARNINGS} more warnings; --json has them all")
    if found:
        lines.append(f"more frames reach more: -n {10 * reach.frames}")
    return lines
