"""The cycle law of a stage: its window, and the FIFO that hands the window's credits back."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...streams.law import Link, Table, listed
from ..protocol import ExtraLaw
from .sparse_law import ScanCosts
from .spec import WindowSpec

__all__ = ["WindowLaw"]


class WindowLaw:
    """When the words of a stage move: ``latency`` is the time from the decision to hand out the last word of a result
    to the cycle in which the FIFO at the end of the stage offers the result; ``result_words``, the words in which
    a result leaves, one a cycle.

    With R row slots and D credits (``docs/cycles.md``): a word of row r is taken from one cycle after the row r - R was
    freed; an output row starts one cycle after its last input row was complete; words follow each other in every
    cycle; the last one of result m waits until one cycle after all of result m - D was taken.

    Where results are collected, those of all groups of outputs are a block: a credit is for a block, and its words are
    offered when the last of them is there (``BlockFifo``). ``leaving``: so many words of a block, and of the last block
    of a row.

    Where words are skipped, ``costs`` gives (lead, body, tail, words) of the scans of every position
    (``hdl.cores.window.sparse_law``); without it no word is zero.
    """

    def __init__(
        self,
        spec: WindowSpec,
        latency: int,
        result_words: int,
        i: Link,
        o: Link,
        skips: Sequence[ExtraLaw] = (),
        costs: Sequence[ScanCosts] | None = None,
        leaving: tuple[int, int] | None = None,
    ) -> None:
        self.spec, self.latency, self.result_words, self.i, self.o = spec, latency, result_words, i, o
        self.skips = skips
        self.ins, self.outs = (i, *(skip.i for skip in skips)), (o,)
        self._row_words, self._slots = spec.row_words, spec.rows
        self._unit, self._rows = spec.positions * spec.groups, spec.o_size[0]  # results that wait and free together
        self._scan, self._further_scans = spec.scan_words, (spec.scans - 1) * spec.scan_words
        self._costs = costs
        self._passed = -1  # where words are skipped: the cycle in which the last chunk of the scan before passed
        self._rows_done: list[int] = []  # cycles
        self._freed: list[int] = []
        self.decided: Any = []  # cycle of the decision on the last word of each result
        self.started: Any = []  # cycle of the decision on the first word of each result
        self._frees = [row.freed for row in spec.row_plan]
        self._needed = [row.wait + sum(self._frees[:y]) for y, row in enumerate(spec.row_plan)]
        self._leaving = leaving

    def table(self) -> Table:
        """For the compiled law, which is told what all windows have, the shortcuts, and the rows."""
        kind, own = self._ring()
        spec, costs, leaving = self.spec, self._costs, self._leaving or (0, 0)
        known = [spec.dense_costs] if costs is None else costs
        walk = [self._scan, self._further_scans, spec.credits, spec.groups, int(spec.chunk > 0), spec.span, spec.scans]
        costs = listed(np.array(known, np.int64).reshape(-1, 4)[:, :3].ravel()) if spec.chunk else [0]
        skips = [number for skip in self.skips for number in skip.table()]
        blocks = [*leaving, spec.blocks]
        return kind, [self.latency, self.result_words, self._unit, *walk, *blocks, *costs, *skips, *own]

    def _ring(self) -> Table:
        """The kind of window, and what no other kind has."""
        rows = [self._row_words, self._slots, self.spec.height]
        return "rows", [*rows, *listed(self._frees), *listed(self._needed)]

    def tell(self, events: Sequence[np.ndarray]) -> None:
        """Take what the compiled law found: ``decided``, ``started``, and what each shortcut waits for."""
        self.decided, self.started, *freed = events
        for skip, cycles in zip(self.skips, freed, strict=True):
            skip.tell(cycles)

    @property
    def rows_before(self) -> int:
        """Rows that had come, in part or whole, when the first result was decided."""
        return -(-bisect_right(self.i.taken, self.decided[0]) // self._row_words)

    @property
    def occupied(self) -> int:
        """Results, or blocks, that had a credit at once at most, those that wait for a reader too."""
        starts = np.array(self.decided[:: self.spec.groups if self._leaving is not None else 1])
        units, taken = np.arange(len(starts)), np.array(self.o.taken, np.int64)
        lasts = self._last_word(units)
        return int((units + 1 - np.searchsorted(taken[lasts[lasts < len(taken)]], starts)).max())

    def advance(self) -> None:
        """Compute what can be computed, writer and reader in turn, until neither moves."""
        while True:
            freed = len(self._freed)
            self._write()
            for skip in self.skips:
                skip.feed()
            # The writer waits for what the reader frees, the FIFO of a shortcut for words that it fetches.
            if not self._read() or (len(self._freed) == freed and not self.skips):
                return

    def _shortcuts(self, result: int) -> int | None:
        """The first cycle in which the shortcuts let the first scan of ``result`` end, None while it is not known."""
        found = 0
        for skip in self.skips:
            ready = skip.ready(result)
            if ready is None:
                return None
            found = max(found, ready)
        return found

    def _write(self) -> None:
        i, words, freed, offered = self.i, self._row_words, self._freed, len(self.i.offered)
        at = len(i.taken)
        while at < offered:
            before = at // words - self._slots
            if before >= len(freed):
                return
            cycle = i.take(freed[before] + 1 if before >= 0 else 0)
            at += 1
            if at % words == 0:
                self._rows_done.append(cycle)

    def _read(self) -> bool:
        o, credits, words, per = self.o, self.spec.credits, self.result_words, self._unit
        blocks = self._leaving is not None
        decided, taken, moved, sparse = self.decided, self.o.taken, False, self.spec.chunk > 0
        while True:
            m = len(decided)
            unit, within = divmod(m, per)
            # The last word of the result, or block, that gives its credit back.
            before = self._before(m) if blocks else (m - credits + 1) * words - 1
            if before >= len(taken):
                return moved
            complete, ready = 0, 0
            if within == 0:
                complete = self._complete(unit)
                if complete is None:
                    return moved
            if self.skips:
                ready = self._shortcuts(m)
                if ready is None:
                    return moved
            if sparse:
                start, end = self._sparse(m, complete, ready)
            else:
                start = decided[-1] + 1 if decided else 0
                if complete > start:
                    start = complete
                end = max(start + self._scan - 1, ready) + self._further_scans
            if before >= 0 and taken[before] >= end:
                end = taken[before] + 1
            self.started.append(start)
            decided.append(end)
            for skip in self.skips:
                skip.finish(m, end)
            end += self.latency
            if blocks:
                self._offer_block(m, end + words - 1)
            elif words == 1:
                o.offered.append(end)
            else:
                o.offered.extend(range(end, end + words))
            if within == per - 1:
                self._free(unit, decided[-1])
            moved = True

    def _complete(self, row: int) -> int | None:
        """The cycle from which output row ``row`` has what it waits for, None while it is not known."""
        frame, y = divmod(row, self._rows)
        last = frame * self.spec.height + self._needed[y] - 1
        return self._rows_done[last] + 1 if last < len(self._rows_done) else None

    def _free(self, row: int, cycle: int) -> None:
        """Output row ``row`` is done with in ``cycle``."""
        self._freed.extend([cycle] * self._frees[row % self._rows])

    def _before(self, m: int) -> int:
        """Of blocks, the word that must have left before result ``m`` may end; negative where none must."""
        assert self._leaving is not None
        block, within = divmod(m, self.spec.groups)
        if within or block < self.spec.credits:
            return -1
        return self._last_word(block - self.spec.credits)

    def _last_word(self, unit: Any) -> Any:
        """The last word of a result, or of a block; of many (n,) at once, too."""
        if self._leaving is None:
            return (unit + 1) * self.result_words - 1
        rows, more = divmod(unit + 1, self.spec.blocks)
        each, last = self._leaving
        return rows * (each * (self.spec.blocks - 1) + last) + more * each - 1

    def _offer_block(self, m: int, cycle: int) -> None:
        """Offer the words of the block that ends with result ``m``, whose last word comes in time for ``cycle``."""
        assert self._leaving is not None
        block, within = divmod(m, self.spec.groups)
        if within == self.spec.groups - 1:
            self.o.offered.extend([cycle] * self._leaving[block % self.spec.blocks == self.spec.blocks - 1])

    def _sparse(self, m: int, complete: int, ready: int) -> tuple[int, int]:
        """First and last word of result m but for its credit: its walk may begin in cycle ``complete``, its first scan
        end in cycle ``ready``."""
        spec, costs = self.spec, self._costs
        lead, body, tail, _ = spec.dense_costs if costs is None else costs[m // spec.groups]
        passed, end = max(self._passed, complete + 1), self.decided[-1] if self.decided else -spec.span
        first = 0
        for scan in range(spec.scans):
            entered = max(passed + lead, end)
            passed, end = entered + tail, max(entered + body, end + spec.span)
            if scan == 0:
                first, end = entered + 1, max(end, ready)
        self._passed = passed
        return first, end
