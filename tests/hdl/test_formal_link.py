"""Proofs about the bytes of the link: COBS there and back, and that a decoder is in step after any zero byte
(``docs/formal.md``)."""

from pathlib import Path

import pytest
from amaranth.hdl import Mux, Signal
from prove import Bench, prove, proven
from stream_benches import sink, source, taken_word

from spikeloom.hdl.cobs import CobsDecoder, CobsEncoder
from spikeloom.hdl.codes import Reason

WIDTH = 5
LONGEST = 3
"""The highest code: groups of two bytes without a zero, in place of 254, so that all states of a group are near."""


def round_trip_bench(encoder: CobsEncoder, *, flushes: bool) -> Bench:
    """What a decoder makes of an encoder's bytes: all bytes in their order, an end after every last one, and without
    flushes nowhere else."""
    bench = Bench()
    m = bench.m
    m.submodules.core = encoder
    m.submodules.decoder = decoder = CobsDecoder(encoder.longest)
    taken_i, word = source(bench, encoder.i)
    taken_o, out = sink(bench, encoder.o)
    flush = bench.free(1, "flush")
    m.d.comb += [decoder.i.valid.eq(taken_o), decoder.i.payload.eq(out), encoder.flush.eq(flush)]
    if not flushes:
        bench.assume(~flush)
    byte, end = decoder.o.payload.data, decoder.o.payload.end
    arrives, ends = Signal(name="arrives"), Signal(name="ends")
    m.d.comb += [arrives.eq(decoder.o.valid & ~end), ends.eq(decoder.o.valid & end)]
    went, came = bench.count(taken_i, WIDTH, "went"), bench.count(arrives, WIDTH, "came")
    marked = bench.constant(WIDTH, "marked")
    kept = taken_word(bench, marked, taken_i, went, word, "marked_byte")
    ended = Signal(name="ended")  # since the last byte
    m.d.sync += ended.eq(Mux(arrives, 0, ended | ends))
    bench.rule("no byte from nowhere", ~arrives | (went > came))
    bench.rule("the byte in its place", ~arrives | (came != marked) | (byte == kept[:8]))
    bench.rule("an end after every last byte", ~arrives | (came != marked + 1) | ~kept[-1] | ended)
    bench.rule("all ends are good", ~ends | (byte == Reason.GOOD))
    if not flushes:
        bench.rule("no other end", ~ends | (came != marked + 1) | (kept[-1] & ~ended))
        bench.rule("no end of nothing", ~ends | (came != 0))
    frames, frames_o = bench.count(taken_i & word[-1], WIDTH, "frames"), bench.count(ends, WIDTH, "frames_o")
    if not flushes:
        bench.rule("busy until all is out", encoder.busy | (frames == frames_o) | encoder.o.valid | decoder.o.valid
                   | bench.past(decoder.o.valid, "decoded"))  # fmt: skip
    idle = Signal(4, name="idle")
    m.d.sync += idle.eq(Mux((frames != frames_o) & bench.ports[bench_port(bench, "o_ready")] & ~decoder.o.valid,
                            idle + ~idle.all(), 0))  # fmt: skip
    bench.rule("never stuck", idle <= 8)
    bench.goal("a group without a zero", arrives & (came == LONGEST))
    bench.goal("a second frame", arrives & (frames_o == 1))
    return bench


def bench_port(bench: Bench, name: str) -> int:
    return [port.name for port in bench.ports].index(name)


@pytest.mark.parametrize("flushes", [False, True], ids=["", "flushes"])
def test_cobs_there_and_back(flushes: bool, tmp_path: Path) -> None:
    bench = round_trip_bench(CobsEncoder(8, LONGEST), flushes=flushes)
    proven(prove(bench, tmp_path, depth=16), "o", folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("flushes", [False, True], ids=["", "flushes"])
def test_cobs_there_and_back_for_longer(flushes: bool, tmp_path: Path) -> None:
    bench = round_trip_bench(CobsEncoder(8, LONGEST), flushes=flushes)
    proven(prove(bench, tmp_path, depth=24, timeout=900), folder=tmp_path)
