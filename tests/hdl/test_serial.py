"""The serialiser: parts in order, one a cycle, from a payload that stays."""

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from core_bench import as_ints, as_words

from spikeloom.hdl.cores.serialiser.core import Serialiser
from spikeloom.hdl.cores.serialiser.spec import SerialiserSpec
from spikeloom.hdl.streams.words import WordFormat


@pytest.mark.parametrize(("lanes", "part"), [(4, 1), (4, 2), (6, 2), (8, 8), (3, 1)])
def test_parts_follow_each_other(lanes: int, part: int) -> None:
    spec = SerialiserSpec(WordFormat(lanes, 2, -5, 9), part)
    rng = np.random.default_rng(lanes)
    x = rng.integers(-5, 10, (30, lanes, 2))
    words, gaps = as_ints(spec.i_format.pack(x)), spec.ratio + rng.integers(0, 4, 30)
    starts = np.cumsum(gaps) - gaps[0]
    came: list[tuple[int, int]] = []
    core = Serialiser(spec)
    simulator = Simulator(core)
    simulator.add_clock(1e-6)

    async def bench(ctx: Any) -> None:
        for cycle in range(int(starts[-1]) + 20):
            k = int(np.searchsorted(starts, cycle, side="right")) - 1
            ctx.set(core.i.valid, bool(cycle == starts[k]))
            ctx.set(core.i.payload, words[k])  # stays until the next word
            _, _, valid, out = await ctx.tick().sample(core.o.valid, core.o.payload)
            if valid:
                came.append((cycle, out))

    simulator.add_testbench(bench)
    simulator.run()
    got = spec.o_format.unpack(as_words([w for _, w in came], spec.o_format))
    assert np.array_equal(got, spec.compute(x))
    expected = [start + spec.latency + k for start in starts.tolist() for k in range(spec.ratio)]
    assert [c for c, _ in came] == expected


def test_errors_name_the_rule() -> None:
    with pytest.raises(ValueError, match="lanes=3 does not divide the 4 lanes of a word"):
        SerialiserSpec(WordFormat(4, 1, 0, 1), 3)
