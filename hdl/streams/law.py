"""The cycle law: when every word crosses every boundary, computed from tokens and handshakes alone.

Each core is a timed process that turns the cycles of its input transfers into the earliest cycles of its output
words. A :class:`Link` joins two processes. All recurrences have the form "the latest of some earlier events, plus a
constant" (a marked graph), so a design costs one step a word, not one step a cycle. ``docs/cycles.md`` derives them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

__all__ = ["FifoLaw", "Gate", "Link", "Process", "SinkLaw", "SourceLaw", "Table", "listed", "solve"]

Table = tuple[str, list[int]]
"""What the compiled law knows of a process (:mod:`.compiled`): its kind, and the numbers of this one in the order in
which ``law.cpp`` reads them. A list of numbers is its length and its items (:func:`listed`)."""


class Gate:
    """Cycles in which an environment does not take part; past its end it always does."""

    def __init__(self, pauses: Sequence[bool] | np.ndarray = ()) -> None:
        self.pauses = np.ascontiguousarray(pauses, bool)

    @cached_property
    def _next(self) -> list[int]:
        """The first cycle from each on that is not paused."""
        cycles = np.arange(len(self.pauses) + 1)
        cycles[:-1][self.pauses] = len(self.pauses)
        return np.minimum.accumulate(cycles[::-1])[::-1].tolist()

    def __call__(self, cycle: int) -> int:
        return self._next[cycle] if cycle < len(self._next) else cycle


class Link:
    """A stream between two processes.

    Attributes: ``offered``, the earliest cycle of each word as its producer gives it; ``taken``, the cycle of each
    transfer, computed by the consumer with :meth:`take`.
    """

    def __init__(self, source: Gate | None = None, sink: Gate | None = None) -> None:
        self.offered: list[int] = []
        self.taken: list[int] = []
        self._source, self._sink = source, sink

    @property
    def gates(self) -> tuple[Gate | None, Gate | None]:
        """The environment at its source and at its sink."""
        return self._source, self._sink

    def pending(self) -> bool:
        """Whether a word was offered whose transfer is not yet computed."""
        return len(self.offered) > len(self.taken)

    def shown(self) -> int:
        """The cycle in which the next word to be taken is first valid."""
        taken = self.taken
        cycle = self.offered[len(taken)]
        if taken and taken[-1] >= cycle:
            cycle = taken[-1] + 1
        return cycle if self._source is None else self._source(cycle)

    def take(self, ready: int) -> int:
        """Compute the next transfer, the consumer being ready from cycle ``ready`` on; return its cycle."""
        cycle = self.shown()
        if ready > cycle:
            cycle = ready
        if self._sink is not None:
            cycle = self._sink(cycle)
        self.taken.append(cycle)
        return cycle


class Process(Protocol):
    """A core's law. ``advance`` computes all events it can; ``ins`` and ``outs`` are its links."""

    @property
    def ins(self) -> tuple[Link, ...]: ...
    @property
    def outs(self) -> tuple[Link, ...]: ...

    def advance(self) -> None:
        """Compute every event whose causes are known."""
        ...


def listed(numbers: Sequence[int] | np.ndarray) -> list[int]:
    """A list as part of a :data:`Table`."""
    return [len(numbers), *map(int, numbers)]


class SourceLaw:
    """The environment's source: ``count`` words, all there from the first cycle on."""

    def __init__(self, count: int, o: Link) -> None:
        self.ins, self.outs = (), (o,)
        o.offered.extend([0] * count)

    def table(self) -> Table:
        """For the compiled law."""
        return "source", [len(self.outs[0].offered)]

    def advance(self) -> None:
        """Nothing is left to compute."""


class SinkLaw:
    """The environment's sink."""

    def __init__(self, i: Link) -> None:
        self.i = i
        self.ins, self.outs = (i,), ()

    def table(self) -> Table:
        """For the compiled law."""
        return "sink", []

    def advance(self) -> None:
        """Take every word offered."""
        while self.i.pending():
            self.i.take(0)


class FifoLaw:
    """A stream FIFO of ``depth`` words: a word leaves one cycle after it came at the earliest, and a slot is free
    one cycle after its word left."""

    def __init__(self, depth: int, i: Link, o: Link) -> None:
        self.depth, self.i, self.o = depth, i, o
        self.ins, self.outs = (i,), (o,)

    def table(self) -> Table:
        """For the compiled law."""
        return "fifo", [self.depth]

    def advance(self) -> None:
        """Take every word for which there is a slot."""
        while self.i.pending():
            before = len(self.i.taken) - self.depth
            if before >= len(self.o.taken):
                return
            self.o.offered.append(self.i.take(self.o.taken[before] + 1 if before >= 0 else 0) + 1)


def solve(processes: Sequence[Process]) -> None:
    """Run all ``processes``, best given in the order of the data, until no event is left to compute."""
    readers = {id(link): k for k, p in enumerate(processes) for link in p.ins}
    writers = {id(link): k for k, p in enumerate(processes) for link in p.outs}
    # For every process its links, seen from it: the list that it makes longer, and who looks at that list.
    grown = [
        [(link.taken, writers[id(link)]) for link in p.ins] + [(link.offered, readers[id(link)]) for link in p.outs]
        for p in processes
    ]
    lengths = [[-1] * len(lists) for lists in grown]
    waiting = deque(range(len(processes)))
    queued = [True] * len(processes)
    while waiting:
        k = waiting.popleft()
        queued[k] = False
        processes[k].advance()
        before = lengths[k]
        for n, (events, neighbour) in enumerate(grown[k]):
            if len(events) != before[n]:
                before[n] = len(events)
                if not queued[neighbour]:
                    queued[neighbour] = True
                    waiting.append(neighbour)
