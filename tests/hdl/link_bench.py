"""Runs the parts of the serial link in Amaranth's simulator: bytes and bits in, bytes and bits out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from amaranth.hdl import Value
from amaranth.sim import Simulator

from spikeloom.hdl.host.link import LinkSpec
from spikeloom.hdl.host.uart import BitRate
from spikeloom.link_frames import Frame, Parser

CYCLES = 4
"""Clock cycles of a bit on the line of a link."""

IMAGES = [bytes(np.random.default_rng(k).integers(0, 16, 5).astype("u1")) for k in range(6)]
"""Images of a link."""


def simulate(core: Any, bench: Callable[[Any], Any]) -> None:
    """Run one test bench until its end."""
    simulator = Simulator(core)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def line_of(data: Iterable[int], cycles: float, *, idle: float = 0.0, start: float = 0.0) -> list[int]:
    """The level of a line in every clock cycle, for bytes with ``cycles`` clock cycles a bit and ``idle`` bits between
    them; ``start``: cycles before the first byte, a fraction included."""
    edges, at = [], start
    for byte in data:
        levels = [0, *((byte >> k) & 1 for k in range(8)), 1]
        edges += [(at + k * cycles, level) for k, level in enumerate(levels)]
        at += (10 + idle) * cycles
    line = np.ones(int(at) + 40, int)
    for time, level in edges:
        line[int(np.ceil(time)) :] = level
    return line.tolist()


def play(core: Any, line: Sequence[int], tail: int = 0) -> tuple[list[int], int]:
    """Put a line on ``core.rx``; return the bytes at ``core.o`` and how often ``core.error`` was high."""
    found, errors = [], 0

    async def bench(ctx: Any) -> None:
        nonlocal errors
        for level in [*line, *[1] * tail]:
            ctx.set(core.rx, level)
            _, _, valid, byte, error = await ctx.tick().sample(core.o.valid, core.o.payload, core.error)
            errors += error
            if valid:
                found.append(int(byte))

    simulate(core, bench)
    return found, errors


def push(core: Any, words: Sequence[int], *, gaps: float = 0.0, stalls: float = 0.0, seed: int = 0, tail: int = 50,
         most: int = 100_000) -> list[int]:
    """Feed a stream at ``core.i`` and return what comes at ``core.o``, until nothing has moved for ``tail`` cycles.

    ``gaps``, ``stalls``: shares of cycles in which source and sink pause at random.
    """
    rng = np.random.default_rng(seed)
    source, sink, came = Value.cast(core.i.payload), Value.cast(core.o.payload), []
    flows = hasattr(core.o, "ready") and not core.o.signature.always_ready

    async def bench(ctx: Any) -> None:
        k, quiet, offered = 0, 0, False
        for _ in range(most):
            offered = k < len(words) and (offered or rng.random() >= gaps)
            takes = not flows or rng.random() >= stalls
            ctx.set(core.i.valid, offered)
            ctx.set(source, words[k] if offered else 0xA5)
            if flows:
                ctx.set(core.o.ready, takes)
            _, _, ready, valid, out = await ctx.tick().sample(core.i.ready, core.o.valid, sink)
            if valid and takes:
                came.append(int(out))
            if offered and ready:
                k, offered = k + 1, False
            quiet = 0 if (offered and ready) or valid else quiet + 1
            if k == len(words) and quiet > tail:
                return
        raise TimeoutError(f"{k} of {len(words)} words went in, {len(came)} came out in {most} cycles")

    simulate(core, bench)
    return came


def spec(**changes: Any) -> LinkSpec:
    """A link of images of five bytes and three classes, with ``changes``, at ``CYCLES`` a bit."""
    given = {"frame_bytes": 5, "input_high": 15, "classes": 3, "depth": 16} | changes
    return LinkSpec(BitRate(CYCLES * 1e6, 1e6), bytes(range(8)), **given)


def replies(levels: list[int], *, broken: bool = False) -> list[Frame]:
    """The frames on ``tx``; ``broken``: some may be none."""
    found, k = bytearray(), 0
    while k < len(levels) - 10 * CYCLES:
        if levels[k]:
            k += 1
            continue
        bits = levels[k + CYCLES // 2 : k + 10 * CYCLES : CYCLES]
        assert bits[0] == 0 and bits[9] == 1
        found.append(sum(bit << n for n, bit in enumerate(bits[1:9])))
        k += 10 * CYCLES - 1
    parser = Parser()
    frames = parser.feed(bytes(found))
    assert broken or not parser.garbage
    return frames
