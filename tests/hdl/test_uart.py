"""The serial port: every byte at every rate, rates that differ, noise on the line, and what is refused."""

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Elaboratable, Module
from link_bench import line_of, play, simulate

from spikeloom.hdl.host.uart import BitRate, UartReceiver, UartTransmitter

RATES = [4.0, 4.34, 5.0, 6.51, 10.4, 12.0, 25.3]
SOME = [0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80, 0x7F, 0xFE, 0x3C]


def rate(cycles: float) -> BitRate:
    return BitRate(cycles * 1e6, 1e6)


@pytest.mark.parametrize(
    ("clock", "baud"),
    [(4e6, 1e6), (12e6, 1e6), (12e6, 3e6), (25e6, 1e6), (25e6, 115200), (100e6, 9600), (27e6, 2e6), (50e6, 11.52e6)],
)
def test_rates_are_met(clock: float, baud: float) -> None:
    found = BitRate(clock, baud)
    assert abs(found.error) <= 0.002
    assert found.step / (1 << found.bits) * clock == pytest.approx(baud, rel=0.0021)


def test_rates_that_are_refused() -> None:
    with pytest.raises(ValueError, match=r"1e\+06 baud take 4 clock cycles a bit.*4e\+06 Hz, not 3\.9e\+06 Hz"):
        BitRate(3.9e6, 1e6)
    assert BitRate(0.8, 0.1).step == 1  # below 1 Hz too
    with pytest.raises(ValueError, match="must be positive, not 1e"):
        BitRate(1e6, 0)


class Loop(Elaboratable):
    """A transmitter whose line is a receiver's."""

    def __init__(self, cycles: float) -> None:
        self.transmitter, self.receiver = UartTransmitter(rate(cycles)), UartReceiver(rate(cycles))
        self.i, self.o, self.error = self.transmitter.i, self.receiver.o, self.receiver.error

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.transmitter, m.submodules.receiver = self.transmitter, self.receiver
        m.d.comb += self.receiver.rx.eq(self.transmitter.tx)
        return m


@pytest.mark.parametrize("cycles", RATES)
def test_bytes_follow_each_other_without_a_pause(cycles: float) -> None:
    data = [*SOME, *np.random.default_rng(1).integers(0, 256, 30).tolist()]
    core, found, errors = Loop(cycles), [], 0

    async def bench(ctx: Any) -> None:
        nonlocal errors
        k, limit = 0, int((len(data) + 1) * 10 * (cycles + 0.3) + 40)
        for _ in range(limit):
            ctx.set(core.i.valid, k < len(data))
            ctx.set(core.i.payload, data[min(k, len(data) - 1)])
            _, _, ready, valid, byte, error = await ctx.tick().sample(
                core.i.ready, core.o.valid, core.o.payload, core.error
            )
            k += ready and k < len(data)
            errors += error
            if valid:
                found.append(int(byte))

    simulate(core, bench)
    assert found == data and not errors


@pytest.mark.parametrize("cycles", [4.0, 4.34, 12.0])
@pytest.mark.parametrize("off", [-0.02, 0.0, 0.02])
def test_the_other_end_may_be_two_per_cent_off(cycles: float, off: float) -> None:
    data = [*SOME, *np.random.default_rng(2).integers(0, 256, 20).tolist()]
    for phase in (0.0, 0.3, 0.99):
        line = line_of(data, cycles * (1 + off), start=20 + phase)
        assert play(UartReceiver(rate(cycles)), line) == (data, 0)


def test_the_transmitter_keeps_time() -> None:
    core, levels = UartTransmitter(rate(4.34)), []

    async def bench(ctx: Any) -> None:
        ctx.set(core.i.payload, 0x55)
        ctx.set(core.i.valid, 1)
        for _ in range(60):
            _, _, level, ready = await ctx.tick().sample(core.tx, core.i.ready)
            levels.append(level)
            if ready:
                ctx.set(core.i.valid, 0)

    simulate(core, bench)
    edges = [k for k in range(1, 60) if levels[k] != levels[k - 1]]
    assert len(edges) == 10  # of 0x55, every bit is an edge
    assert [round((edge - edges[0]) / 4.34, 0) for edge in edges] == list(range(10))
    assert max(abs(edge - edges[0] - 4.34 * k) for k, edge in enumerate(edges)) <= 1


def test_noise_of_one_cycle_is_nothing() -> None:
    # At every place in a bit, in another bit of every byte and in the pauses between them.
    clean = line_of(SOME[2:6], 12.0, idle=2, start=20)
    for place in range(12):
        line = list(clean)
        for byte in range(4):
            for bit in ((3 * byte + place) % 10, 11):
                line[20 + 12 * (12 * byte + bit) + place] ^= 1
        assert play(UartReceiver(rate(12.0)), line) == (SOME[2:6], 0), place


def test_a_start_bit_that_is_none_is_forgotten() -> None:
    line = [1] * 20 + [0] * 4 + [1] * 60 + line_of([0x42], 12.0)
    assert play(UartReceiver(rate(12.0)), line) == ([0x42], 0)


@pytest.mark.parametrize("length", [9, 10, 15, 40])
def test_a_missing_stop_bit_is_told_and_the_next_byte_comes(length: int) -> None:
    line = [1] * 9 + [0] * int(length * 12) + [1] * 150 + line_of([0x42, 0x43], 12.0)
    found, errors = play(UartReceiver(rate(12.0)), line)
    nul = [0x00] if length == 9 else []
    assert (found, errors) == ([*nul, 0x42, 0x43], int(length > 9))
