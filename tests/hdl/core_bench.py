"""Runs a core that never stalls: words in with random gaps, words out with the cycle in which they came."""

from __future__ import annotations

from typing import Any

import numpy as np
from amaranth.hdl import Value
from amaranth.sim import Simulator

from spikeloom.hdl.streams.words import WordFormat


def as_ints(words: np.ndarray) -> list[int]:
    """Words (n, limbs) as integers."""
    return [sum(int(limb) << (32 * k) for k, limb in enumerate(word)) for word in words]


def as_words(values: list[int], form: WordFormat) -> np.ndarray:
    """Integers as words (n, limbs)."""
    return np.array([[v >> (32 * k) & 0xFFFFFFFF for k in range(form.limbs)] for v in values], np.uint32)


def run_pipe(
    core: Any,
    words: list[int],
    lasts: list[bool] | None = None,
    *,
    gaps: float = 0.3,
    seed: int = 0,
    tail: int = 40,
    idle: int = 0,
) -> tuple[list[int], list[tuple[int, int]]]:
    """Feed ``words`` (and the ``last`` flags of window words); return the cycles they went in, and (cycle, word) out.

    In cycles without a word, the first ``idle`` among them, the payload is all ones, which a core must not look at.
    """
    rng = np.random.default_rng(seed)
    went, came = [], []
    simulator = Simulator(core)
    simulator.add_clock(1e-6)
    payload = core.i.payload if lasts is None else core.i.payload.data

    async def bench(ctx: Any) -> None:
        k, cycle = 0, 0
        while k < len(words) or cycle < went[-1] + tail:
            offers = k < len(words) and rng.random() >= gaps and cycle >= idle
            ctx.set(core.i.valid, offers)
            ctx.set(Value.cast(payload), words[k] if offers else (1 << len(Value.cast(payload))) - 1)
            if lasts is not None:
                ctx.set(core.i.payload.last, lasts[k] if offers else 1)
            _, _, valid, out = await ctx.tick().sample(core.o.valid, Value.cast(core.o.payload))
            if valid:
                came.append((cycle, int(out)))
            if offers:
                went.append(cycle)
                k += 1
            cycle += 1

    simulator.add_testbench(bench)
    simulator.run()
    return went, came
