"""Which words a window needs at each of its positions, where it keeps words and not whole rows (a line buffer).

Words of a frame are counted from its first one. A position waits for the words up to its last tap in the frame, and
frees those before the first tap of all positions that follow. Both rise along an output row by the same steps, or not
at all, and by what is left at its end: so hardware needs a table of steps along a row, and one of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from .geometry import WindowGeometry

__all__ = ["Needs", "Steps", "needs_of"]


@dataclass(frozen=True, eq=False)
class Steps:
    """What a count rises by: from a position of a row to the next one by ``along[x]`` in the rows that ``move``, and
    from the last one to the row that follows by ``rows[y]``."""

    along: tuple[int, ...]
    move: tuple[int, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Needs:
    """Words that the positions of a frame wait for (``need``) and have freed when they are done (``freed``), both
    (rows, columns) of positions; ``words`` of a frame; ``further`` and ``done``, the steps of the two."""

    need: np.ndarray
    freed: np.ndarray
    words: int
    further: Steps
    done: Steps

    @property
    def least(self) -> int:
        """Words that must be kept: what a position waits for, and what those before it have not freed."""
        return int((self.need.ravel() - np.r_[0, self.freed.ravel()[:-1]]).max())

    @property
    def fewest(self) -> int:
        """Words with which, within a frame, the next position's come while this one is walked."""
        need, before = self.need.ravel(), np.r_[0, self.freed.ravel()[:-1]]
        return max(self.least, int((need[1:] - before[:-1]).max(initial=0)))

    @property
    def enough(self) -> int:
        """Words with which those of the first position of the next frame do too."""
        before = np.r_[0, self.freed.ravel()[:-1]]
        return max(self.fewest, int(self.words + self.need[0, 0] - before[-1]))


def needs_of(window: WindowGeometry) -> Needs | None:
    """The needs of ``window``; None where it cannot keep words: whole columns or several windows are read at once,
    words are skipped, windows are walked several times, there is one position alone, one has no tap in the frame, or
    the steps are not those of a row."""
    if window.columns or window.pixels > 1 or window.chunk or window.times != (1, 1) or window.o_size == (1, 1):
        return None
    sizes = (window.height, window.width), window.o_size, window.kernel, window.stride, window.dilation
    before = window.padding[0][0], window.padding[1][0]
    rows, columns = (_Axis(*axis) for axis in zip(*sizes, before, strict=True))
    return _needs(rows, columns, window.pixel_words)


class _Axis(NamedTuple):
    """The positions of a window along the rows, or the columns, of a frame."""

    size: int
    positions: int
    kernel: int
    stride: int
    dilation: int
    before: int

    def taps(self) -> tuple[np.ndarray, np.ndarray] | None:
        """First and last tap in the frame of each position; None where a position has none."""
        start = np.arange(self.positions) * self.stride - self.before
        taps = start[:, None] + np.arange(self.kernel) * self.dilation
        inside = (taps >= 0) & (taps < self.size)
        if not inside.any(1).all():
            return None
        return np.where(inside, taps, self.size).min(1), np.where(inside, taps, -1).max(1)


@cache
def _needs(rows: _Axis, columns: _Axis, pixel: int) -> Needs | None:
    down, across = rows.taps(), columns.taps()
    if down is None or across is None:
        return None
    row, words, shape = columns.size * pixel, rows.size * columns.size * pixel, (rows.positions, columns.positions)
    first, last = ((d[:, None] * row + a * pixel).ravel() for d, a in zip(down, across, strict=True))
    freed = np.r_[np.minimum.accumulate(first[::-1])[::-1][1:], words]
    need = np.maximum.accumulate(np.maximum(last + pixel, freed))
    further = _steps(np.diff(need, append=words + need[0]).reshape(shape))
    done = _steps(np.diff(freed, prepend=0).reshape(shape))
    if further is None or done is None:
        return None
    return Needs(need.reshape(shape), freed.reshape(shape), words, further, done)


def _steps(rise: np.ndarray) -> Steps | None:
    """The steps of counts that rise so (rows, columns); None where rows move by different steps."""
    within = rise[:, :-1]
    along = within.max(0, initial=0)
    move = np.any(within, axis=1)
    if not np.array_equal(within, move[:, None] * along):
        return None
    return Steps(tuple(along.tolist()), tuple(move.astype(int).tolist()), tuple(rise[:, -1].tolist()))
