"""The readers of a window: what lets the walk go on, and the words that are handed out.

The last word of a result waits for a credit, and that of its first scan for the shortcuts (``hold``).
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import *

from ...streams.counter import row_counter
from ...streams.credits import credits
from .line import LinePlace, LineRows, LineWriter
from .sparse import SparseWalk
from .store import Store
from .walk import Place, Walk
from .writer import Writer

__all__ = ["Flags", "Words", "dense", "sparse"]


@dataclass(frozen=True, eq=False)
class Flags:
    """The ports of a window beside its words: ``taken``, ``hold``, ``scanned`` (``hdl.cores.window.core``)."""

    taken: Signal
    hold: Signal
    scanned: Signal


@dataclass(frozen=True, eq=False)
class Words:
    """What leaves: a decision, whether there is a word (``valid``), whether it is the ``last`` of its scan, where words
    are skipped the ``row`` of the weights; ``data``, ``latency`` cycles of the window later."""

    data: Value
    valid: Value
    last: Value
    row: Value | None = None


def dense(m: Module, place: Place | LinePlace, store: Store, flags: Flags) -> Words:
    """Hand out every word of the walk."""
    walk, writer, spec = place.walk, store.writer, store.spec
    if isinstance(place, LinePlace):
        data = store.line(place)
    else:
        data = store.columns(place) if spec.columns else store.ring(place.at, walk, place.turn)
    # Where windows are walked together, one credit is for the results of all groups of outputs (``BlockFifo``).
    final = walk.final & (walk.value["group"] == 0) if spec.blocked else walk.final
    credit = credits(m, spec.credits, walk.moves & final, flags.taken)
    held = walk.ending & walk.first_scan & flags.hold
    there, done = _progress(walk, writer)
    m.d.comb += [
        walk.moves.eq(there & (credit | ~final) & ~held),
        flags.scanned.eq(walk.moves & walk.ending & walk.first_scan),
        writer.done_with.eq(done),
    ]
    return Words(data, walk.moves, walk.ends["ky"])


def _progress(walk: Walk, writer: Writer | LineWriter) -> tuple[Value, Value]:
    """Whether what the walk waits for is there, and how many rows, or words, are not needed after this cycle."""
    if isinstance(walk.rows, LineRows):
        return walk.rows.there(writer.written), walk.rows.done
    assert isinstance(writer, Writer)
    return walk.rows.there(writer.row_done), Mux(walk.row_ends, walk.rows.freed, 0)


def sparse(m: Module, place: Place, store: Store, flags: Flags) -> Words:
    """Hand out the words that are not zero: the walk goes over the flags of ``spec.chunk`` words at once."""
    walk, writer, spec, (at,) = place.walk, store.writer, store.spec, place.at
    assert isinstance(writer, Writer)
    there, done = _progress(walk, writer)
    m.submodules.sparse = sparse = SparseWalk(spec, len(at), store.depth // walk.unit)
    chunks, rows = sparse.walk, spec.groups * spec.scan_words // walk.unit
    row = row_counter(m, rows, spec.scans, walk.moves, walk.ends["ky"], "row")
    data = store.ring([sparse.o.payload.at], walk)
    m.d.comb += [
        sparse.write.en.eq(writer.written),
        sparse.write.at.eq(Cat(writer.cell, writer.slot)),
        sparse.write.event.eq(store.i.payload.any()),
        chunks.valid.eq(there),
        walk.moves.eq(chunks.valid & chunks.ready),
        chunks.payload.at.eq(at),
        chunks.payload.row.eq(row),
        chunks.payload.last.eq(walk.ending),
        chunks.payload.first.eq(walk.first_scan),
        chunks.payload.final.eq(walk.final),
        chunks.payload.freed.eq(done),
        sparse.taken.eq(flags.taken),
        sparse.hold.eq(flags.hold),
        flags.scanned.eq(sparse.scanned),
        writer.done_with.eq(sparse.freed),
    ]
    return Words(data, sparse.o.valid, sparse.o.payload.last, sparse.o.payload.row)
