"""Proofs about the packet memory of the link and about what it keeps: a frame is read as it came and only if it was
good, all others leave their reason (``docs/formal.md``)."""

from pathlib import Path

import pytest
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.crc import Algorithm
from amaranth.lib.crc.catalog import CRC16_IBM_3740
from prove import Bench, prove, proven
from stream_benches import sink

from spikeloom.hdl.host import packets
from spikeloom.hdl.host.codes import Kind, Reason
from spikeloom.hdl.host.packets import PacketMemory, PacketReceiver

WIDTH = 5


def memory_bench(core: PacketMemory) -> Bench:
    """Bytes are numbered from 0; those below ``end`` are committed, those from ``front`` on were not read."""
    bench = Bench()
    m, depth = bench.m, core.depth
    m.submodules.core = core
    byte = bench.free(8, "data")
    write, commit, rollback, drop, ready = (
        bench.free(1, name) for name in ("write", "commit", "rollback", "drop", "o_ready")
    )
    bench.assume(~write | ~(commit | rollback))
    bench.assume(~commit | ~rollback)
    m.d.comb += [core.data.eq(byte), core.write.eq(write), core.commit.eq(commit), core.rollback.eq(rollback),
                 core.drop.eq(drop), core.o.ready.eq(ready)]  # fmt: skip
    back, end, front = (Signal(WIDTH, name=name) for name in ("back", "end", "front"))
    takes, taken = Signal(name="takes"), Signal(name="o_taken")
    m.d.comb += [takes.eq(write & ~core.full), taken.eq(core.o.valid & ready)]
    m.d.sync += [
        back.eq(Mux(rollback, end, back + takes)),
        end.eq(Mux(commit, back, end)),
        front.eq(Mux(drop, end, front + taken)),
    ]
    held = Signal(WIDTH, name="held")
    m.d.comb += held.eq(back - front)
    bench.rule("neither over- nor underflow", (held < depth) & (end - front <= held))
    bench.rule("full", core.full == (held == depth - 1))
    bench.rule("offered when committed before this cycle", core.o.valid == (bench.past(end, "end") != front))
    waits = bench.past(core.o.valid & ~ready & ~drop, "o_waits")
    bench.rule("o holds", ~waits | (core.o.valid & (core.o.payload == bench.past(core.o.payload, "o_payload"))))
    at = (depth - 1).bit_length()
    for name, number in (("back", back), ("end", end), ("front", front)):
        bench.rule(f"address {name}", bench.probe(at, f"core.{name}") == number[:at])
    marked, kept = bench.constant(WIDTH, "marked"), Signal(8, name="kept")
    with m.If(takes & (back == marked)):
        m.d.sync += kept.eq(byte)
    bench.rule("the byte in its place", ~core.o.valid | (front != marked) | (core.o.payload == kept))
    bench.goal("full of committed bytes, after a rollback", core.full & (end == back) & (marked == 1) & (kept == 9))
    bench.goal("a byte read after a drop", taken & (front == 2) & bench.past(bench.past(drop, "drop"), "dropped"))
    return bench


def test_packet_memory(tmp_path: Path) -> None:
    proven(prove(memory_bench(PacketMemory(4)), tmp_path, depth=12), folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [4, 8])
def test_packet_memory_for_longer(depth: int, tmp_path: Path) -> None:
    proven(prove(memory_bench(PacketMemory(depth)), tmp_path, depth=16), folder=tmp_path)


class Overflowing(PacketMemory):
    """A memory that forgets that it is full."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.full.eq(0)
        return m


def test_a_memory_without_its_full_check_is_found(tmp_path: Path) -> None:
    assert {"neither over- nor underflow", "full"} & set(prove(memory_bench(Overflowing(4)), tmp_path, depth=8).broken)


LENGTHS = {Kind.IMAGE: 1, Kind.INFO: 0, Kind.STATUS: 0, Kind.RESET: 0}
PARITY = Algorithm(
    crc_width=1, polynomial=1, initial_crc=1, reflect_input=False, reflect_output=False, xor_output=0
)
"""What stands for the CRC here, so that the solver meets good frames: the CRC itself is proven on its own."""


def test_the_crc_is_that_of_its_polynomial(tmp_path: Path) -> None:
    """Bit by bit, the highest first: x^16 + x^12 + x^5 + 1, from all ones."""
    bench = Bench()
    m = bench.m
    m.submodules.core = core = CRC16_IBM_3740(data_width=8).create()
    begins, valid, byte = bench.free(1, "begins"), bench.free(1, "valid"), bench.free(8, "byte")
    m.d.comb += [Value.cast(core.start).eq(begins), Value.cast(core.valid).eq(valid), Value.cast(core.data).eq(byte)]
    crc = Signal(16, name="expected", init=0xFFFF)
    bits = list(Mux(begins, 0xFFFF, crc)[:16])
    for k in reversed(range(8)):
        out = bits[15] ^ byte[k]
        bits = [out, *bits[:4], bits[4] ^ out, *bits[5:11], bits[11] ^ out, *bits[12:15]]
    with m.If(valid):
        m.d.sync += crc.eq(Cat(bits))
    with m.Elif(begins):
        m.d.sync += crc.eq(0xFFFF)
    bench.rule("the CRC", core.crc == crc)
    bench.rule("a frame with its CRC behind it leaves zero", core.match_detected == (crc == 0))
    bench.goal("it matches", core.match_detected)
    proven(prove(bench, tmp_path, depth=4, induction=True), folder=tmp_path)


def receiver_bench(core: PacketReceiver) -> Bench:
    """A frame is good if and only if its bytes say so and it finds room; its record is in its place."""
    bench = Bench()
    m = bench.m
    m.submodules.core = core
    valid, word = bench.free(1, "i_valid"), bench.free(9, "i_payload")
    byte, end = word[:8], word[8]
    m.d.comb += [core.i.valid.eq(valid), Value.cast(core.i.payload).eq(word)]
    pause = Signal(2, name="pause")  # the next frame's first event comes four cycles after an end
    m.d.sync += pause.eq(Mux(valid & end, 3, Mux(pause == 0, 0, pause - 1)))
    bench.assume(~valid | (pause == 0))
    bench.assume(~end | (byte <= Reason.CODING))
    taken, out = sink(bench, core.o)
    # What came of the frame: how many bytes, the first five, and the CRC over all.
    place, crc = Signal(4, name="place"), Signal(name="crc")
    came = [Signal(8, name=f"byte_{k}") for k in range(5)]
    begins = Signal(name="begins")
    m.d.comb += begins.eq(place == 0)
    with m.If(valid & ~end):
        m.d.sync += [place.eq(Mux(place.all(), place, place + 1)), crc.eq(Mux(begins, 1, crc) ^ byte.xor())]
        with m.Switch(place):
            for k, each in enumerate(came):
                with m.Case(k):
                    m.d.sync += each.eq(byte)
    with m.If(valid & end):
        m.d.sync += [place.eq(0), *(each.eq(0) for each in came)]
    kind, sequence, length = came[0], came[1], Cat(came[2], came[3])
    size, known = Signal(16, name="size"), Signal(name="known")
    with m.Switch(kind):
        for each, payload in LENGTHS.items():
            with m.Case(each):
                m.d.comb += [size.eq(payload), known.eq(1)]
    reason = Signal(3, name="reason")
    m.d.comb += reason.eq(
        Mux(byte != 0, byte, Mux((crc != 0) | begins, Reason.CRC, Mux(~known, Reason.TYPE, Mux(
            (length != size) | (place != size + 6), Reason.LENGTH, Reason.GOOD))))
    )  # fmt: skip
    ends = valid & end
    told = Signal(3, name="told")  # the reason of the last frame, and whether its pulse is due
    due = Signal(2, name="due")
    pulse = core.good | core.bad
    m.d.sync += due.eq(Mux(ends, 3, Mux(pulse | (due == 0), 0, due - 1)))
    with m.If(ends):
        m.d.sync += told.eq(reason)
    bench.rule("one pulse a frame, within three cycles", (~pulse | (due != 0)) & ((due != 1) | pulse))
    bench.rule("not good and bad", ~(core.good & core.bad))
    bench.rule("good only if all is right", ~core.good | (told == Reason.GOOD))
    bench.rule("a reset is a good frame of its type", ~core.reset | core.good)
    # The record of the marked frame that left one: its first byte, its sequence number, its payload.
    commits, marked = bench.probe(1, "core.memory.commit"), bench.constant(WIDTH, "marked")
    bench.rule("a good frame is committed", ~core.good | commits)
    records, records_o = bench.count(commits, WIDTH, "records"), Signal(WIDTH, name="records_o")
    first, rest, record = Signal(8, name="first"), Signal(16, name="rest"), Signal(24, name="record")
    frame_kind, kind_o = Signal(8, name="frame_kind"), Signal(8, name="kind_o")
    m.d.comb += first.eq(Mux(core.good, frame_kind, Cat(Const(0, 4), Mux(told == Reason.GOOD, Reason.FULL, told))))
    with m.If(ends):
        m.d.sync += [rest.eq(Cat(sequence, came[4])), frame_kind.eq(kind)]
    with m.If(commits & (records == marked)):
        m.d.sync += record.eq(Cat(first, rest))
    at = Signal(2, name="at")
    is_last = Mux(at == 1, kind_o != Kind.IMAGE, at == 2)
    with m.If(taken):
        m.d.sync += [at.eq(Mux(is_last, 0, at + 1)), records_o.eq(records_o + is_last)]
        with m.If(at == 0):
            m.d.sync += kind_o.eq(out)
    with m.If(core.reset):  # what was not read is dropped
        m.d.sync += [at.eq(0), records_o.eq(records)]
    bench.rule("no record from nowhere", ~core.o.valid | (records != records_o))
    bench.rule("the record of its frame", ~core.o.valid | (records_o != marked) | (out == record.word_select(at, 8)))
    holds = bench.rules.pop("o holds")
    bench.rule("o holds but for a reset", holds | bench.past(core.reset, "reset"))
    bench.goal("a record is read", taken & (records_o == marked) & is_last)
    return bench


def receiver(monkeypatch: pytest.MonkeyPatch, lengths: dict[Kind, int] = LENGTHS) -> PacketReceiver:
    monkeypatch.setattr(packets, "CRC16_IBM_3740", PARITY)
    return PacketReceiver(lengths, 4)


@pytest.mark.parametrize("depth", [12, pytest.param(15, marks=pytest.mark.slow)])
def test_packet_receiver(depth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = receiver_bench(receiver(monkeypatch))
    proven(prove(bench, tmp_path, depth=depth, restart=True), folder=tmp_path)


def test_a_receiver_that_takes_another_length_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = receiver_bench(receiver(monkeypatch, LENGTHS | {Kind.INFO: 1}))
    assert prove(bench, tmp_path, depth=10, restart=True).broken == ["good only if all is right"]
