"""Event skipping: hands out the non-zero words of a walk, one a cycle, and spends no cycle on the others.

A flag memory beside the ring of the window says which words are not zero, ``chunk`` of them at one address. The walk
goes chunk by chunk, one a cycle, and again for every group of outputs and of time steps; a chunk waits while the words
of the one before are handed out. So a walk of n words of which k are not zero takes about max(k, n / chunk) cycles,
and what is handed out are addresses: no list of words is stored anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...streams.credits import credits
from .flags import Reading, reading, written
from .spec import WindowSpec

__all__ = ["SparseWalk"]


def _others(flags: Value) -> Value:
    """``flags`` without the lowest one that is set."""
    return Cat(flag & flags[:k].any() for k, flag in enumerate(flags))


@dataclass(frozen=True, eq=False)
class _Next:
    """The next chunk: whether there is one (``valid``), its entry, its ``flags``, whether there is a word in it
    (``some``), and whether ``only`` one; ``leaves``, whether it goes or passes, which what follows drives."""

    valid: Signal
    chunk: Any
    flags: Signal
    some: Signal
    only: Signal
    leaves: Signal


class SparseWalk(wiring.Component):
    """Flags and hand-out for the window of ``spec``, whose addresses have ``address_bits``, of ``depth`` chunks.

    Three stages, each of which moves on where the next one is free: the flag memory; the chunk whose flags are known
    (``next``), which passes if it has no word; the chunk that is handed out (``now``). The last word of ``now`` waits
    until ``next`` shows whether it is the last one of its scan, and then, as the last word of a result, for a credit,
    and until ``spec.span`` cycles have passed since the end of the scan before. A scan without a word hands out one
    zero word.

    Members: ``write``: In, ``en``: a word goes to address ``at`` of the ring, ``event``: it is not zero;
    ``walk``: In(stream of chunks: ``at``, address; ``row``, of the weights; ``last`` of a scan; ``first`` scan of a
    result, where there are more; ``final``, last of a result; ``freed``, input rows freed by it); ``o``: Out(stream of
    words: ``at``, ``row``, ``last``, always ready), in the cycle of the decision; ``freed``: Out, rows freed in this
    cycle; ``taken``: In(1), a result has left the FIFO of the stage; ``hold``: In(1), the last word of the first scan
    of a result must wait; ``scanned``: Out(1), it is handed out.
    """

    walk: stream.Interface
    o: stream.Interface
    write: data.View
    freed: Signal
    taken: Signal
    hold: Signal
    scanned: Signal

    def __init__(self, spec: WindowSpec, address_bits: int, depth: int) -> None:
        self.spec, self.depth = spec, depth
        self.lane_bits = lane_bits = (spec.chunk - 1).bit_length()
        rows = (spec.groups * spec.scan_words // spec.chunk - 1).bit_length()
        marks = {"last": 1, "first": 1 if spec.scans > 1 else 0, "final": 1}
        freed = range(max(row.freed for row in spec.row_plan) + 1)
        self.entry = data.StructLayout({"at": address_bits, "row": rows, **marks, "freed": freed})
        word = data.StructLayout({"at": address_bits + lane_bits, "row": rows + lane_bits, "last": 1})
        write = data.StructLayout({"en": 1, "at": address_bits + lane_bits, "event": 1})
        super().__init__(
            {
                "write": In(write),
                "walk": In(stream.Signature(self.entry)),
                "o": Out(stream.Signature(word, always_ready=True)),
                "freed": Out(freed),
                "taken": In(1),
                "hold": In(1),
                "scanned": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        flags = written(m, platform, self.spec, self.depth, self.write)
        self._hand_out(m, self._follow(m, reading(m, platform, self.spec, flags, self.walk)))
        return m

    def _follow(self, m: Module, before: Reading) -> _Next:
        """The next chunk."""
        waiting = Signal()
        following = Signal(self.entry)
        flags = Signal(self.spec.chunk)
        some = Signal()
        only = Signal()
        leaves = Signal()
        m.d.comb += before.free.eq(~waiting | leaves)
        with m.If(before.free):
            m.d.sync += [
                waiting.eq(before.valid),
                following.eq(before.chunk),
                flags.eq(before.found),
                some.eq(before.found.any()),
                only.eq(~_others(before.found).any()),
            ]
        return _Next(waiting, following, flags, some, only, leaves)

    def _hand_out(self, m: Module, after: _Next) -> None:
        """The chunk that is handed out, the lowest word first; ``lone``: it is at its last word."""
        spec = self.spec
        waiting, following, some = after.valid, after.chunk, after.some
        busy = Signal()
        now = Signal(self.entry)
        left = Signal(spec.chunk)
        lone = Signal()
        ends = Signal()  # the scan ends with this chunk
        moves = Signal()
        done = Signal()
        closes = Signal()  # the next chunk has no word and ends the scan of this one
        enters = Signal()  # the next chunk comes in
        result = Signal()  # the scan is the last of a result
        first = Signal()  # or the first
        free = Signal()  # it may end
        credit, rested = credits(m, spec.credits, ends & result & done, self.taken), self._rested(m, ends & done)
        m.d.comb += [
            closes.eq(waiting & ~some & following.last & busy & ~now.last),
            ends.eq(now.last | closes),
            result.eq(Mux(now.last, now.final, following.final)),
            first.eq(now.first if spec.scans > 1 else 1),
            free.eq(rested & (credit | ~result) & ~(first & self.hold)),
            moves.eq(busy & (~lone | Mux(ends, free, waiting & some))),
            done.eq(moves & lone),
            enters.eq(waiting & (some | (following.last & ~closes)) & (~busy | done)),
            after.leaves.eq(enters | (waiting & ~some & (~following.last | closes))),
        ]
        others = Signal(spec.chunk)
        m.d.comb += others.eq(_others(left))
        with m.If(done):
            m.d.sync += busy.eq(0)
        with m.If(moves):
            m.d.sync += [left.eq(others), lone.eq(~_others(others).any())]
        with m.If(closes):
            m.d.sync += [now.last.eq(1), now.final.eq(following.final), now.freed.eq(following.freed)]
        with m.If(enters):
            m.d.sync += [busy.eq(1), now.eq(following), left.eq(after.flags), lone.eq(after.only)]

        lowest, bits = left & ~others, range(self.lane_bits)
        lane = Cat(Cat(flag for k, flag in enumerate(lowest) if k >> bit & 1).any() for bit in bits)
        m.d.comb += [
            self.o.valid.eq(moves),
            self.o.payload.at.eq(Cat(lane, now.at)),
            self.o.payload.row.eq(Cat(lane, now.row)),
            self.o.payload.last.eq(done & ends),
            self.scanned.eq(done & ends & first),
            self.freed.eq(Mux(done & ends & result, Mux(now.last, now.freed, following.freed), 0)),
        ]

    def _rested(self, m: Module, ended: Value) -> Value:
        """Whether ``span`` cycles have passed since a scan ``ended``."""
        if self.spec.span == 1:
            return Const(1)
        rest = Signal(range(self.spec.span), name="rest")
        with m.If(ended):
            m.d.sync += rest.eq(self.spec.span - 1)
        with m.Elif(rest != 0):
            m.d.sync += rest.eq(rest - 1)
        return rest == 0
