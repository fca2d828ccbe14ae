"""Proofs about the packet memory of the link and about what it keeps: a frame is read as it came and only if it was
good, all others leave their reason (``docs/formal.md``)."""

from pathlib import Path

import pytest
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from prove import Bench, prove, proven
from stream_benches import sink, taken_word

from spikeloom.hdl.codes import Kind, Reason
from spikeloom.hdl.packets import PacketMemory, PacketReceiver

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
    proven(prove(memory_bench(PacketMemory(depth)), tmp_path, depth=16, timeout=600), folder=tmp_path)


class Overflowing(PacketMemory):
    """A memory that forgets that it is full."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.full.eq(0)
        return m


def test_a_memory_without_its_full_check_is_found(tmp_path: Path) -> None:
    assert {"neither over- nor underflow", "full"} & set(prove(memory_bench(Overflowing(4)), tmp_path, depth=8).broken)


LENGTHS = {Kind.IMAGE: 1, Kind.INFO: 0, Kind.STATUS: 0, Kind.RESET: 0}
POLYNOMIAL = 0x1021


def crc_step(crc: Value, byte: Value) -> Value:
    """CRC-16/IBM-3740 of one more byte, bit by bit, the highest first."""
    bits = [crc[k] for k in range(16)]
    for k in reversed(range(8)):
        out = bits[15] ^ byte[k]
        bits = [(bits[n - 1] if n else Const(0, 1)) ^ (out if POLYNOMIAL >> n & 1 else Const(0, 1)) for n in range(16)]
    return Cat(bits)


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
    # What came of the frame: how many bytes, the first four, and the CRC over all.
    place, crc = Signal(4, name="place"), Signal(16, name="crc")
    came = [Signal(8, name=f"byte_{k}") for k in range(5)]
    begins = Signal(name="begins")
    m.d.comb += begins.eq(place == 0)
    with m.If(valid & ~end):
        m.d.sync += [place.eq(Mux(place.all(), place, place + 1)), crc.eq(crc_step(Mux(begins, 0xFFFF, crc), byte))]
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
    # The marked record: what its frame was when it was committed, against what comes out.
    commits, marked = bench.probe(1, "core.memory.commit"), bench.constant(WIDTH, "marked")
    bench.rule("a good frame is committed", ~core.good | commits)
    frame = Signal(32, name="frame")  # reason, type, sequence number and payload of the last frame
    with m.If(ends):
        m.d.sync += frame.eq(Cat(reason, Const(0, 5), kind, sequence, came[4]))
    kept = Signal(32, name="kept")
    records, records_o = Signal(WIDTH, name="records"), Signal(WIDTH, name="records_o")
    m.d.sync += records.eq(records + commits)
    with m.If(commits & (records == marked)):
        m.d.sync += kept.eq(Mux(core.good, frame, frame | RECORD_BAD))
    at, left = Signal(2, name="at"), Signal(2, name="left")
    size_o = Signal(2, name="size_o")
    m.d.comb += size_o.eq(Mux(out == Kind.IMAGE, 1, 0))
    last = Mux(at == 0, 0, (at == 1) & (left == 0) | (at == 2))
    with m.If(taken):
        m.d.sync += [at.eq(Mux(last, 0, at + 1)), records_o.eq(records_o + last)]
        with m.If(at == 0):
            m.d.sync += left.eq(size_o)
    with m.If(core.reset):  # what was not read is dropped
        m.d.sync += [at.eq(0), records_o.eq(records)]
    return bench
