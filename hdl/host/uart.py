"""An asynchronous serial port: 8 data bits, the lowest first, no parity, one stop bit.

Bits are timed by a phase accumulator, so that any rate of up to a quarter of the clock is met within 0.2 %. What comes
in passes two flip-flops against metastability and a median of three, which removes pulses of one clock cycle. Bits
are sampled in their middle; with 4 clock cycles a bit the two ends' rates may differ by 2 %, with more by more.
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["BitClock", "BitRate", "UartReceiver", "UartTransmitter"]

LEAST_CYCLES = 4
TOLERANCE = 0.002


@dataclass(frozen=True)
class BitRate:
    """The time of a bit at ``baud`` bits a second and a clock of ``clock_hz``.

    A phase of ``bits`` bits grows by ``step`` in every clock cycle; where it wraps around, a bit is over. The fewest
    bits for an error of at most 0.2 %. Raises ValueError where a bit takes less than 4 clock cycles.
    """

    clock_hz: float
    baud: float

    def __post_init__(self) -> None:
        if not self.baud > 0 or not self.clock_hz > 0:
            raise ValueError(f"Clock and baud rate must be positive, not {self.clock_hz:g} Hz and {self.baud:g}")
        if self.cycles < LEAST_CYCLES:
            raise ValueError(
                f"{self.baud:g} baud take {LEAST_CYCLES} clock cycles a bit, so a clock of at least "
                f"{LEAST_CYCLES * self.baud:g} Hz, not {self.clock_hz:g} Hz ({self.cycles:.2f} cycles a bit)"
            )

    @property
    def cycles(self) -> float:
        """Clock cycles of a bit, as asked for."""
        return self.clock_hz / self.baud

    @property
    def bits(self) -> int:
        """Bits of the phase."""
        bits = 2
        while abs(self._error(bits)) > TOLERANCE:
            bits += 1
        return bits

    @property
    def step(self) -> int:
        """What a clock cycle adds to the phase."""
        return self._step(self.bits)

    @property
    def error(self) -> float:
        """The actual rate over the one asked for, less one."""
        return self._error(self.bits)

    def _step(self, bits: int) -> int:
        return max(1, round((1 << bits) / self.cycles))

    def _error(self, bits: int) -> float:
        return self._step(bits) * self.cycles / (1 << bits) - 1


class BitClock(wiring.Component):
    """Marks the end of every bit.

    Members: ``run``: In(1); while low, the phase is held at its start; ``tick``: Out(1). With ``half`` the first tick
    comes in the middle of a bit, whose edge lies up to a clock cycle before the first cycle of ``run``.
    """

    run: Signal
    tick: Signal

    def __init__(self, rate: BitRate, *, half: bool = False) -> None:
        self.rate = rate
        self.half = half
        super().__init__({"run": In(1), "tick": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits, step = self.rate.bits, self.rate.step
        # Cycles are whole, and the edge is seen up to one late: half a bit less one cycle is right on average.
        start = (1 << bits - 1) + step if self.half else 0
        phase = Signal(bits, init=start)
        following = Signal(bits + 1)
        m.d.comb += [following.eq(phase + step), self.tick.eq(self.run & following[-1])]
        m.d.sync += phase.eq(Mux(self.run, following, start))
        return m


class UartReceiver(wiring.Component):
    """Bytes from a line.

    ``error`` tells in one cycle that a byte had no stop bit: it is dropped, and the next start bit is waited for once
    the line is high. A byte comes half a bit after its stop bit began, and four to five cycles later.

    Members: ``rx``: In(1), not synchronised; ``o``: Out(stream of bytes, always ready); ``error``: Out(1).
    """

    rx: Signal
    o: stream.Interface
    error: Signal

    def __init__(self, rate: BitRate) -> None:
        self.rate = rate
        super().__init__({"rx": In(1), "o": Out(stream.Signature(8, always_ready=True)), "error": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        raw = Signal(init=1)
        seen = Signal(2, init=3)
        line = Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, raw, init=1)
        m.d.sync += [seen.eq(Cat(raw, seen[0])), line.eq((raw & seen[0]) | (raw & seen[1]) | (seen[0] & seen[1]))]

        m.submodules.clock = clock = BitClock(self.rate, half=True)
        # A mark comes down to the lowest place after start bit and data; it is then the stop bit's turn.
        mark = 1 << 9
        data = Signal(10, init=mark)
        first = Signal()
        armed = Signal()
        m.d.comb += self.o.payload.eq(data[1:9])
        m.d.sync += [self.o.valid.eq(0), self.error.eq(0)]
        with m.If(~clock.run):
            m.d.sync += [data.eq(mark), first.eq(1), armed.eq(line), clock.run.eq(armed & ~line)]
        with m.Elif(clock.tick):
            m.d.sync += [data.eq(Cat(data[1:], line)), first.eq(0)]
            with m.If(first & line):  # a start bit that is none
                m.d.sync += clock.run.eq(0)
            with m.If(data[0]):
                m.d.sync += [clock.run.eq(0), armed.eq(line), self.o.valid.eq(line), self.error.eq(~line)]
        return m


class UartTransmitter(wiring.Component):
    """Bytes onto a line.

    Members: ``i``: In(stream of bytes); ``tx``: Out(1), high while idle; ``busy``: Out(1), high during a byte.
    """

    i: stream.Interface
    tx: Signal
    busy: Signal

    def __init__(self, rate: BitRate) -> None:
        self.rate = rate
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1), "busy": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.clock = clock = BitClock(self.rate)
        # Start bit, data, stop bit: what is left of them; nothing is left after the stop bit.
        bits = Signal(10)
        m.d.comb += [self.busy.eq(bits.any()), clock.run.eq(self.busy), self.i.ready.eq(~self.busy)]
        level = Signal(init=1)
        m.d.comb += self.tx.eq(level)
        m.d.sync += level.eq(bits[0] | ~self.busy)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += bits.eq(Cat(Const(0, 1), self.i.payload, Const(1, 1)))
        with m.Elif(clock.tick):
            m.d.sync += bits.eq(bits[1:])
        return m
