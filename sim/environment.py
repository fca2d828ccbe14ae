"""The environment of a design in Python: source, sink and resets of a stimulus, and the recorder of its boundaries.

The Amaranth simulator and cocotb use it; the Verilator harness does the same in C++.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from .trace import Stimulus, Trace, Transfers

__all__ = ["MAX_VIOLATIONS", "VIOLATIONS", "Environment", "Recorder", "checked", "limbs_to_int", "words_from_ints"]

MAX_VIOLATIONS = 1000
"""Violations a simulator records; a broken design breaks the rules in every cycle."""

VIOLATIONS = {
    "valid": "valid fell before the transfer",
    "payload": "payload changed before the transfer",
    "last": "last is not that of the last word of a frame",
}
"""Texts of the violations in a trace."""


def words_from_ints(values: list[int], width: int) -> np.ndarray:
    """Return integers as words of ``width`` bits, uint32 (n, limbs)."""
    limbs = -(-width // 32)
    data = b"".join(value.to_bytes(4 * limbs, "little") for value in values)
    return np.frombuffer(data, "<u4").reshape(-1, limbs).astype(np.uint32)


def limbs_to_int(word: np.ndarray) -> int:
    """Return a word, uint32 (limbs,), as an integer."""
    return int.from_bytes(np.asarray(word, "<u4").tobytes(), "little")


def checked(stimulus: Stimulus, width: int, sinks: int = 1) -> Stimulus:
    """Return a stimulus with plain dtypes, sorted resets and a row of pauses for each of the ``sinks``; raise
    ValueError where it does not fit the ports."""
    words = np.asarray(stimulus.words)
    limbs = -(-width // 32)
    if words.ndim != 2 or words.shape[1] != limbs:
        raise ValueError(f"Input words of {width} bits must have shape (n, {limbs}), not {words.shape}")
    words = np.ascontiguousarray(words, "<u4")
    if width % 32 and words.size and int(words[:, -1].max()) >> width % 32:
        raise ValueError(f"Input words must have {width} bits, found one with more")
    if stimulus.cycles < 0:
        raise ValueError(f"Cycles must not be negative, not {stimulus.cycles}")
    resets = tuple(sorted((int(cycle), int(word)) for cycle, word in stimulus.resets))
    for cycle, word in resets:
        if cycle < 0 or not 0 <= word <= len(words):
            raise ValueError(f"Reset must be (cycle, word 0..{len(words)}), not ({cycle}, {word})")
    if len({cycle for cycle, _ in resets}) != len(resets):
        raise ValueError(f"Resets must be in different cycles, not {[cycle for cycle, _ in resets]}")
    sink_pauses = np.asarray(stimulus.sink_pauses, bool)
    if sink_pauses.ndim not in (1, 2) or (sink_pauses.ndim == 2 and len(sink_pauses) != sinks):
        raise ValueError(f"Pauses of {sinks} sinks must have shape (n,) or ({sinks}, n), not {sink_pauses.shape}")
    sink_pauses = np.ascontiguousarray(np.broadcast_to(sink_pauses, (sinks, sink_pauses.shape[-1])))
    source_pauses = np.asarray(stimulus.source_pauses, bool).reshape(-1)
    return Stimulus(words, int(stimulus.cycles), source_pauses, sink_pauses, resets)


class Environment:
    """Source, sinks and reset line, cycle by cycle: :meth:`begin` a cycle, look at ready, :meth:`end` it.

    Members: ``reset``, ``valid``, ``payload`` and ``readies``, one for each sink, what the environment drives in the
    present cycle.

    Parameters:
        stimulus: what to do; see :func:`checked`.
        width: bits of the design's input payload.
        sinks: outputs of the design.
    """

    def __init__(self, stimulus: Stimulus, width: int, sinks: int = 1) -> None:
        stimulus = checked(stimulus, width, sinks)
        self._words = [limbs_to_int(word) for word in stimulus.words]
        self._source_pauses = stimulus.source_pauses.tolist()
        self._sink_pauses = stimulus.sink_pauses.tolist()
        self._resets = dict(stimulus.resets)
        self._garbage = (1 << width) - 1
        self._next = 0
        self.cycles = stimulus.cycles
        self.reset, self.valid, self.readies = True, False, [False] * sinks
        self.payload = self._garbage

    def begin(self, cycle: int) -> None:
        """Enter a cycle; cycles come in order."""
        self.reset = cycle in self._resets
        if self.reset:
            self.valid = False
            self._next = self._resets[cycle]
        elif not self.valid and self._next < len(self._words):
            self.valid = not (cycle < len(self._source_pauses) and self._source_pauses[cycle])
        self.payload = self._words[self._next] if self.valid else self._garbage
        self.readies = [not (cycle < len(pauses) and pauses[cycle]) for pauses in self._sink_pauses]

    def end(self, input_ready: bool) -> None:
        """Leave the cycle, in which the design's input showed this ready."""
        if self.valid and input_ready:
            self.valid = False
            self._next += 1


@dataclass
class _Boundary:
    name: str
    limbs: int
    cycles: list[int] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    waiting: int | None = None
    frame: int = 0
    taken: int = 0


class Recorder:
    """Collects the transfers of all boundaries and watches the rules of their streams.

    Parameters:
        widths: payload bits by boundary name, in the order of the data.
        frames: words in a frame, of the boundaries that have a port for the last of them.
    """

    def __init__(self, widths: Mapping[str, int], frames: Mapping[str, int] | None = None) -> None:
        ends = frames or {}
        self._boundaries = [_Boundary(n, -(-width // 32), frame=ends.get(n, 0)) for n, width in widths.items()]
        self._violations: list[tuple[int, str, str]] = []

    def reset(self) -> None:
        """Note a cycle in reset: nothing is transferred and nothing waits any more."""
        for boundary in self._boundaries:
            boundary.waiting, boundary.taken = None, 0

    def sample(
        self, cycle: int, index: int, valid: bool, ready: bool, payload: Callable[[], int], last: bool = False
    ) -> None:
        """Note what boundary number ``index`` shows before the edge; ``payload`` is called only while valid. ``last``
        matters where the words of a frame are known."""
        boundary = self._boundaries[index]
        if not valid:
            if boundary.waiting is not None:
                self._violate(cycle, boundary, "valid")
            boundary.waiting = None
            return
        word = payload()
        if boundary.waiting is not None and word != boundary.waiting:
            self._violate(cycle, boundary, "payload")
        boundary.waiting = None if ready else word
        if boundary.frame and last != (boundary.taken % boundary.frame == boundary.frame - 1):
            self._violate(cycle, boundary, "last")
        if ready:
            boundary.taken += 1
            boundary.cycles.append(cycle)
            boundary.words.append(word)

    def _violate(self, cycle: int, boundary: _Boundary, kind: str) -> None:
        if len(self._violations) < MAX_VIOLATIONS:
            self._violations.append((cycle, boundary.name, VIOLATIONS[kind]))

    def trace(self) -> Trace:
        """Return everything recorded."""
        transfers = {
            boundary.name: Transfers(
                np.array(boundary.cycles, np.int64), words_from_ints(boundary.words, 32 * boundary.limbs)
            )
            for boundary in self._boundaries
        }
        return Trace(transfers, tuple(self._violations))
