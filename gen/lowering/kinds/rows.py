"""Rows of windows of one pixel that are walked together: they need no row of the map, and keep shorter ones."""

from __future__ import annotations

from dataclasses import replace

from ....hdl.cores.window.geometry import WindowGeometry
from ....hdl.cores.window.needs import needs_of
from ....hdl.cores.window.spec import WindowSpec
from ..fitting import divisors, ring_rows

__all__ = ["shortened"]


def shortened(window: WindowGeometry) -> WindowGeometry:
    """``window``, where its kernel is a single pixel, without stride and padding, with rows that are parts of those of
    the map: the longest ones that take no more block RAMs than the shortest do. Words come and leave in the same
    order, and every word that is handed out is the same. A line buffer keeps no rows."""
    if window.kernel != (1, 1) or window.stride != (1, 1) or window.padded or window.width % window.pixels:
        return window
    if needs_of(window) is not None:
        return window
    found, least = window, _blocks(window)
    for width in reversed(divisors(window.width)[:-1]):
        if width % window.pixels:
            continue
        shorter = replace(window, width=width, height=window.height * window.width // width)
        if (blocks := _blocks(shorter)) < least:
            found, least = shorter, blocks
    return found


def _blocks(window: WindowGeometry) -> int:
    """Block RAMs of the rows that ``window`` keeps."""
    return WindowSpec.of(window, rows=ring_rows(window), credits=1).block_rams
