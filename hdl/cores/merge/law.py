"""The cycle law of a merge: when the words of its shortcut move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...streams.law import Link, listed

if TYPE_CHECKING:
    from .spec import MergeSpec

__all__ = ["ShortcutLaw"]


class ShortcutLaw:
    """When the words of a shortcut move: the FIFO of a merge, as part of the law of its stage.

    Parameters: ``spec``; ``i``, the link; ``delay``, cycles from the window's last word of a result to its first
    fetch. Word k is taken from one cycle after word k - depth was fetched; the first scan of a result ends one cycle
    after the last of its words was taken at the earliest.
    """

    def __init__(self, spec: MergeSpec, i: Link, delay: int) -> None:
        self.i, self._depth, self._delay = i, spec.depth, delay
        takes = [spec.takes[k : k + spec.result_words] for k in range(0, spec.groups, spec.result_words)]
        self._offsets = [[p for p, taken in enumerate(part) if taken] for part in takes]
        self._through = np.cumsum(spec.needs).tolist()
        self._fetched: Any = []

    def table(self) -> list[int]:
        """For the compiled law: of words, and the rest."""
        counts, offsets = list(map(len, self._offsets)), [p for part in self._offsets for p in part]
        depth = -1 if self._depth is None else self._depth
        return [0, depth, self._delay, *listed(counts), *listed(offsets), *listed(self._through)]

    def tell(self, cycles: np.ndarray) -> None:
        """Take what the compiled law found: when words were fetched."""
        self._fetched = cycles

    def feed(self) -> bool:
        """Take every word for which there is room; return whether any was."""
        i, fetched, moved = self.i, self._fetched, False
        while i.pending():
            before = -1 if self._depth is None else len(i.taken) - self._depth
            if before >= len(fetched):
                break
            i.take(fetched[before] + 1 if before >= 0 else 0)
            moved = True
        return moved

    def ready(self, result: int) -> int | None:
        """The first cycle in which the first scan of ``result`` may end, None while it is not known."""
        frame, k = divmod(result, len(self._through))
        words = frame * self._through[-1] + self._through[k]
        if words > len(self.i.taken):
            return None
        return self.i.taken[words - 1] + 1 if self._offsets[k] else 0

    @property
    def occupied(self) -> int:
        """Slots that the words so far needed for none to wait."""
        taken, fetched = np.array(self.i.taken), np.array(self._fetched)
        return int((np.arange(len(taken)) - np.searchsorted(fetched, taken)).max(initial=-1)) + 1

    def finish(self, result: int, end: int) -> None:
        """Note that the window handed out the last word of ``result`` in cycle ``end``."""
        first = end + self._delay
        self._fetched.extend(first + p for p in self._offsets[result % len(self._offsets)])
