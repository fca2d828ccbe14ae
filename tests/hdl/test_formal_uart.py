"""Proofs about the serial line: a byte is a frame of ten bits of the stated length, and what is sent is received, also
by a receiver that noise has left in any state (``docs/formal.md``)."""

from pathlib import Path

import pytest
from amaranth.hdl import Assume, Cat, Const, DomainRenamer, Module, Mux, Signal
from prove import Bench, prove, proven
from stream_benches import source

from spikeloom.hdl.host.uart import BitRate, UartReceiver, UartTransmitter


def transmitter_bench(core: UartTransmitter, rate: BitRate) -> Bench:
    """Bit k of a byte is on the line until k + 1 bits are over; nothing is taken meanwhile, then the line is high."""
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
    bench.rule("what is left", bench.probe(10, "core.bits") == Mux(sending, kept >> bit, 0))
    bench.rule("the phase", ~sending | (bench.probe(rate.bits, "core.clock.phase") == phase[: rate.bits]))
    bench.rule("a byte's bits", ~sending | (kept[9] & ~kept[0]))
    bench.goal("the first data bit", sending & (bit == 1))
    return bench


RATES = {4: BitRate(4e6, 1e6), 5.37: BitRate(5.37e6, 1e6), 24: BitRate(24e6, 1e6)}


@pytest.mark.parametrize("cycles", [4, 5.37, pytest.param(24, marks=pytest.mark.slow)])
def test_transmitter(cycles: float, tmp_path: Path) -> None:
    rate = RATES[cycles]
    proof = prove(transmitter_bench(UartTransmitter(rate), rate), tmp_path, depth=round(cycles) + 6, induction=True)
    proven(proof, folder=tmp_path)


class Hasty(UartTransmitter):
    """Takes a byte in the middle of another."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.i.ready.eq(1)
        return m


def test_a_transmitter_that_takes_a_byte_too_early_is_found(tmp_path: Path) -> None:
    proof = prove(transmitter_bench(Hasty(RATES[4]), RATES[4]), tmp_path, depth=8)
    assert "a byte is taken where none is under way" in proof.broken


STATE = {"data": 10, "first": 1, "armed": 1, "run": 1, "clock.phase": RATES[4].bits}


def test_a_receiver_tells_of_a_byte_or_of_an_error(tmp_path: Path) -> None:
    """Never of both at once, on any line and in any state."""
    bench = Bench()
    rx, both, begun = bench.free(1, "rx"), Signal(name="both"), bench.past(Const(1), "begun")
    bench.m.submodules.core = core = UartReceiver(RATES[4])
    bench.m.d.comb += [core.rx.eq(rx), both.eq(core.o.valid & core.error)]
    bench.rule("a byte or an error", ~both)
    bench.goal("a start bit", begun & bench.probe(1, "core.run"))
    proven(prove(bench, tmp_path, depth=7, induction=True), folder=tmp_path)


@pytest.mark.slow
def test_a_quiet_line_ends_all_noise(tmp_path: Path) -> None:
    """A receiver in any state, reachable or not, is after thirteen quiet bits in that of one that was just reset."""
    bench = Bench()
    m = bench.m
    rx = bench.free(1, "rx")
    m.submodules.core = core = UartReceiver(RATES[4])
    m.submodules.other = other = DomainRenamer("start")(UartReceiver(RATES[4]))
    m.d.comb += [core.rx.eq(rx), other.rx.eq(rx)]
    quiet = Signal(range(53), name="quiet")
    bench.assume((quiet == 52) | rx)
    m.d.sync += quiet.eq(quiet + (quiet != 52))
    same = Cat(bench.probe(n, f"core.{w}") == bench.probe(n, f"other.{w}") for w, n in STATE.items()).all()
    bench.rule("the same state", (quiet != 52) | same)
    bench.goal("a quiet line", quiet == 52)
    proven(prove(bench, tmp_path, depth=54, restart=True), folder=tmp_path)


def line_bench(receiver: UartReceiver) -> Bench:
    """A transmitter and a receiver: the byte sent comes out once, within a stated time, and no error."""
    bench = Bench()
    m = bench.m
    m.submodules.core = transmitter = UartTransmitter(RATES[4])
    m.submodules.receiver = receiver
    taken, byte = source(bench, transmitter.i)
    m.d.comb += receiver.rx.eq(transmitter.tx)
    # The line was high before the reset, which the synchroniser does not know of.
    high = [bench.probe(1, wire) for wire in ("receiver.synchroniser.stage0", "receiver.raw")]
    m.d.comb += Assume(bench.running | Cat(high).all(), None)
    kept, sent, got = Signal(8, name="kept"), Signal(2, name="sent"), Signal(2, name="got")
    o_valid, o_byte = Signal(name="o_valid"), Signal(8, name="o_byte")
    m.d.comb += [o_valid.eq(receiver.o.valid), o_byte.eq(receiver.o.payload)]
    before = Signal(8, name="byte_before")  # the next byte is taken while the end of a byte is still to be heard
    with m.If(taken):
        m.d.sync += [kept.eq(byte), before.eq(kept)]
    m.d.sync += [sent.eq(sent + taken), got.eq(got + o_valid)]
    late = Signal(6, name="late")
    m.d.sync += late.eq(Mux(taken, 0, Mux(late.all(), late, late + 1)))
    bench.rule("no error", ~receiver.error)
    bench.rule("the byte", ~o_valid | (o_byte == Mux(late < 20, before, kept)))
    bench.rule("none from nowhere", ~o_valid | (got != sent))
    bench.rule("none lost", (sent == 0) | (late < LATE) | (got == sent))
    bench.goal("a byte", o_valid)
    return bench


LATE = 46
"""Cycles from a byte's last one on the line to its end at the receiver."""


@pytest.mark.slow
def test_a_byte_is_received(tmp_path: Path) -> None:
    bench = line_bench(UartReceiver(RATES[4]))
    proven(prove(bench, tmp_path, depth=50, restart=True), folder=tmp_path)
