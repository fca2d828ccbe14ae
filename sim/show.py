"""Differences between prediction and simulation, shown so that an engineer sees what happened around them."""

from __future__ import annotations

import io

import numpy as np
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from ..hdl.streams.words import WordFormat
from .compare import BoundaryInfo, Difference, Kind
from .environment import limbs_to_int
from .trace import Trace, Transfers

__all__ = ["difference_table", "difference_text", "without_headline"]

MAX_ELEMENTS = 8
MAX_LANES = 6


def difference_table(difference: Difference, expected: Trace, got: Trace, info: BoundaryInfo, around: int = 3) -> Group:
    """Return the difference in words, the integers that differ, and the transfers around it side by side.

    Parameters: ``info``, the boundary of the difference; ``around``, transfers shown before and after it.
    """
    parts: list[Text | Table] = [Text(str(difference), style="bold")]
    for element in difference.elements[:MAX_ELEMENTS]:
        parts.append(Text(f"  {element}"))
    if len(difference.elements) > MAX_ELEMENTS:
        parts.append(Text(f"  ... {len(difference.elements) - MAX_ELEMENTS} more"))
    counts = " (counts of spikes)" if info.counts else ""
    table = Table(title=f"Transfers on {difference.boundary}{counts}", title_justify="left")
    for heading in ("", "transfer", "expected cycle", "word", "got cycle", "word"):
        table.add_column(heading, justify="left" if heading == "word" else "right")
    sides = expected.boundaries[difference.boundary], got.boundaries[difference.boundary]
    last = max(len(side.cycles) for side in sides) - 1
    for index in range(max(0, difference.index - around), min(last, difference.index + around) + 1):
        here = index == difference.index and difference.kind is not Kind.RULE
        table.add_row(
            ">" if index == difference.index else "",
            str(index),
            *(cell for side in sides for cell in _cells(side, index, info.format)),
            style="bold red" if here else None,
        )
    return Group(*parts, table)


def difference_text(difference: Difference, expected: Trace, got: Trace, info: BoundaryInfo, around: int = 3) -> str:
    """Return what :func:`difference_table` shows as plain text."""
    console = Console(file=io.StringIO(), width=160, color_system=None)
    with console.capture() as capture:
        console.print(difference_table(difference, expected, got, info, around))
    return capture.get()


def without_headline(picture: Group) -> Group:
    """What :func:`difference_table` shows behind its first line, for whoever says that line himself."""
    return Group(*picture.renderables[1:])


def _cells(side: Transfers, index: int, layout: WordFormat) -> tuple[str, str]:
    """Return cycle and word of a transfer: its integers where they are few, else hexadecimal."""
    if index >= len(side.cycles):
        return "-", "-"
    word = side.words[index]
    if layout.lanes <= MAX_LANES:
        lanes = layout.unpack(word[np.newaxis, : layout.limbs])[0]
        text = " | ".join(" ".join(str(value) for value in lane) for lane in lanes.tolist())
    else:
        text = f"{limbs_to_int(word):0{-(-layout.width // 4)}x}"
    return str(int(side.cycles[index])), text if len(text) <= 40 else text[:18] + ".." + text[-18:]
