"""Proofs about the serial line: a byte is a frame of ten bits of the stated length, and what is sent is received, also
by a receiver that noise has left in any state (``docs/formal.md``)."""

from pathlib import Path

import pytest
from amaranth.hdl import Cat, Const, DomainRenamer, Module, Mux, Signal
from prove import Bench, prove, proven
from stream_benches import source

from spikeloom.hdl.uart import BitRate, UartReceiver, UartTransmitter

RATE = BitRate(4e6, 1e6)
"""The fewest cycles a bit that there may be: 4."""


def transmitter_bench(core: UartTransmitter, rate: BitRate) -> Bench:
    """Bit k of a byte ends in the cycle in which k + 1 bits are over; nothing is taken meanwhile, the line then is high."""
    bench = Bench()
    m = bench.m
    m.submodules.core = core
    taken, byte = source(bench, core.i)
    # The phase of the line since the byte was taken, in fractions of a bit.
    scale, length = 1 << rate.bits, 10
    phase, kept = Signal(range((length + 1) * scale), name="phase"), Signal(10, name="kept")
    under_way, tx = Signal(name="under_way"), Signal(name="tx", attrs={"keep": 1})
    bit = Signal(4, name="bit")
    m.d.comb += [tx.eq(core.tx), bit.eq(phase >> rate.bits), under_way.eq(bit < length)]
    m.d.sync += kept.eq(Mux(taken, Cat(Const(0, 1), byte, Const(1, 1)), kept))
    started = Signal(name="started")
    m.d.sync += started.eq(started | taken)
    with m.If(taken):
        m.d.sync += phase.eq(0)
    with m.Elif(under_way):
        m.d.sync += phase.eq(phase + rate.step)
    sending = started & under_way
    bench.rule("a byte is taken where none is under way", core.i.ready == ~sending)
    bench.rule("busy", core.busy == sending)
    level = ~sending | kept.bit_select(bit, 1)
    bench.rule("the line", tx == (bench.past(level, "level") | ~bench.past(Const(1), "begun")))
    bench.goal("a second byte", taken & started)
    return bench


@pytest.mark.parametrize("cycles", [4, pytest.param(5.37, marks=pytest.mark.slow)])
def test_transmitter(cycles: float, tmp_path: Path) -> None:
    rate = BitRate(cycles * 1e6, 1e6)
    depth = round(10 * cycles) + 8
    proven(prove(transmitter_bench(UartTransmitter(rate), rate), tmp_path, depth=depth, restart=True), folder=tmp_path)


def line_bench(*, noise: bool) -> Bench:
    """A transmitter and a receiver: every byte comes out once, in its order, and no error. ``noise``: the receiver
    starts in any state, on a line that is quiet for eleven bits."""
    bench = Bench()
    m = bench.m
    m.submodules.core = transmitter = UartTransmitter(RATE)
    receiver = UartReceiver(RATE)
    m.submodules.receiver = DomainRenamer("start")(receiver) if noise else receiver
    taken, byte = source(bench, transmitter.i)
    m.d.comb += receiver.rx.eq(transmitter.tx)
    quiet, since = 44 if noise else 0, Signal(6, name="since")
    m.d.sync += since.eq(since + (since != quiet)) if noise else since.eq(0)
    bench.assume(~taken | (since == quiet))
    sent, got = Signal(2, name="sent"), Signal(2, name="got")
    kept = Signal(8, name="kept")
    with m.If(taken):
        m.d.sync += [kept.eq(byte), sent.eq(sent + 1)]
    o_valid, o_byte = Signal(name="o_valid"), Signal(8, name="o_byte")
    m.d.comb += [o_valid.eq(receiver.o.valid), o_byte.eq(receiver.o.payload)]
    with m.If(o_valid):
        m.d.sync += got.eq(got + 1)
    # A byte comes before the next one's start bit can be seen: one is on its way at most, but for its tail.
    heard = Mux(sent == 0, 0, 1)
    bench.rule("no error", ~receiver.error | (heard == 0))
    bench.rule("the byte", ~o_valid | (heard == 0) | (o_byte == kept))
    bench.rule("none twice", ~o_valid | (heard == 0) | (got != sent))
    late = Signal(6, name="late")
    m.d.sync += late.eq(Mux(taken, 0, Mux(late.all(), late, late + 1)))
    bench.rule("none lost", (heard == 0) | (late < 46) | (got == sent))
    bench.goal("a byte", o_valid & (sent == 1))
    return bench
