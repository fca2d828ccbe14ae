"""The cycle law of a stage whose window keeps words: those of single words in place of those of rows."""

from __future__ import annotations

from typing import Any

from ...streams.law import Table, listed
from .law import WindowLaw

__all__ = ["LineLaw"]


class LineLaw(WindowLaw):
    """When the words of a stage move whose window keeps N words (``docs/cycles.md``): word k is taken from one cycle
    after word k - N was freed; a position starts one cycle after the last word that it waits for was taken, and frees
    words when its last result is decided (``needs``)."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        spec = self.spec
        self._unit = spec.groups * spec.pixel_parts
        self._need, self._frees_to = spec.needs.need.ravel().tolist(), spec.needs.freed.ravel().tolist()
        self._frame = spec.i_words
        self._freed_to: list[int] = []  # words that had been freed after each position
        self._at = 0  # the position that freed the last word whose place was taken

    def _ring(self) -> Table:
        return "line", [self.spec.words, self._frame, *listed(self._need), *listed(self._frees_to)]

    def _write(self) -> None:
        i, kept, offered, freed_to = self.i, self.spec.words, len(self.i.offered), self._freed_to
        for at in range(len(i.taken), offered):
            cycle = 0
            if at >= kept:
                while self._at < len(freed_to) and freed_to[self._at] <= at - kept:
                    self._at += 1
                if self._at == len(freed_to):
                    return
                cycle = self._freed[self._at] + 1
            i.take(cycle)

    def _complete(self, position: int) -> int | None:
        frame, k = divmod(position, len(self._need))
        last = frame * self._frame + self._need[k] - 1
        return self.i.taken[last] + 1 if last < len(self.i.taken) else None

    def _free(self, position: int, cycle: int) -> None:
        frame, k = divmod(position, len(self._frees_to))
        self._freed.append(cycle)
        self._freed_to.append(frame * self._frame + self._frees_to[k])
