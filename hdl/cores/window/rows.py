"""What the output rows of a window need of its input rows."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

__all__ = ["RowPlan", "row_plan", "rows_needed"]


class RowPlan(NamedTuple):
    """An output row: kernel rows ``above`` the frame, and ``inside`` it; complete rows to ``wait`` for, one at least;
    input rows ``freed`` when it is done; ``offset``, rows from the first one that is not freed to that of the first
    kernel row in the frame, where kernel rows lie apart."""

    above: int
    inside: int
    wait: int
    freed: int
    offset: int


@cache
def row_plan(
    count: int, height: int, kernel: int, stride: int, above: int, dilation: int, times: int
) -> tuple[RowPlan, ...]:
    """The plan of ``count`` rows of windows, each of which is walked ``times`` times, the last time for good; it is the
    same for all folds of a layer."""
    plan, freed = [], 0
    for y in range(count):
        top = y * stride - above
        free = height if y == count - 1 else max(0, top + stride)
        rows = range(top, top + (kernel - 1) * dilation + 1, dilation)
        inside = [row for row in rows if 0 <= row < height]
        offset, last = (inside[0] - freed, inside[-1]) if inside else (0, freed)
        hidden = sum(row < 0 for row in rows)
        row = RowPlan(hidden, len(inside), max(last + 1, free) - freed, free - freed, offset)
        plan += [row._replace(freed=0)] * (times - 1) + [row]
        freed = free
    return tuple(plan)


@cache
def rows_needed(plan: tuple[RowPlan, ...]) -> int:
    """Complete rows that an output row of ``plan`` waits for, at most."""
    return max(row.wait for row in plan)
