"""Proofs about the bytes of the link: COBS there and back, and that a decoder is in step after any zero byte
(``docs/formal.md``)."""

from pathlib import Path

import pytest
from amaranth.hdl import DomainRenamer, Module, Mux, Signal
from prove import Bench, prove, proven
from stream_benches import sink, source, taken_word

from spikeloom.hdl.host.cobs import CobsDecoder, CobsEncoder
from spikeloom.hdl.host.codes import Reason

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
    bench.assume(word[:8] <= 3)  # what counts is which are zero
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
    m.d.sync += idle.eq(Mux((frames != frames_o) & encoder.o.ready & ~decoder.o.valid,
                            idle + ~idle.all(), 0))  # fmt: skip
    bench.rule("never stuck", idle <= 8)
    bench.goal("a full ring", bench.probe(3, "core.at") == bench.count(taken_o, 3, "left"))
    bench.goal("a group without a zero", arrives & (came == LONGEST))
    bench.goal("a second frame", arrives & (frames_o == 1))
    return bench


@pytest.mark.parametrize("flushes", [False, True], ids=["", "flushes"])
def test_cobs_there_and_back(flushes: bool, tmp_path: Path) -> None:
    bench = round_trip_bench(CobsEncoder(8, LONGEST), flushes=flushes)
    proven(prove(bench, tmp_path, depth=12, restart=True), "o", folder=tmp_path)


class Overwriting(CobsEncoder):
    """An encoder that does not look whether there is room in its ring."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        with m.If(self.i.valid):
            m.d.comb += self.i.ready.eq(1)
        return m


def test_an_encoder_without_its_full_check_is_found(tmp_path: Path) -> None:
    bench = round_trip_bench(Overwriting(8, LONGEST), flushes=False)
    assert prove(bench, tmp_path, depth=12, restart=True).broken


def decoder_bench(longest: int = 255) -> Bench:
    """Two decoders of the same bytes, one of them in any state that noise may leave it in."""
    bench = Bench()
    m = bench.m
    m.submodules.core = core = CobsDecoder(longest)
    m.submodules.other = other = DomainRenamer("start")(CobsDecoder(longest))
    valid, byte, error = bench.free(1, "i_valid"), bench.free(8, "i_payload"), bench.free(1, "error")
    for each in (core, other):
        m.d.comb += [each.i.valid.eq(valid), each.i.payload.eq(byte), each.error.eq(error)]
    bench.assume(~error | ~valid)  # a receiver's word (test_formal_uart.py)
    zero = Signal(name="zero")  # a zero byte came
    m.d.sync += zero.eq(zero | (valid & (byte == 0)))
    seen = bench.past(zero, "zero")
    event, end = core.o.payload.data, core.o.valid & core.o.payload.end
    same = (other.o.valid == core.o.valid) & (~core.o.valid | (other.o.payload.as_value() == core.o.payload.as_value()))
    bench.rule("in step after a zero", ~seen | same)
    bench.rule("at most one event a byte, in the next cycle", ~core.o.valid | bench.past(valid, "byte_came"))
    lost = Signal(name="lost")  # a byte of the frame
    m.d.sync += lost.eq((lost & ~(valid & (byte == 0))) | error)
    bench.rule("a frame that lost a byte says so, no other does",
               ~end | ((event == Reason.FRAMING) == bench.past(lost, "lost_before")))  # fmt: skip
    bench.goal("a good frame after noise", end & (event == Reason.GOOD) & zero)
    return bench


def test_a_decoder_is_in_step_after_a_zero(tmp_path: Path) -> None:
    proven(prove(decoder_bench(), tmp_path, depth=10), folder=tmp_path)
