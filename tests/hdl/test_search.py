"""Staircases that are searched, and those with values: against their model and a naive form; latency, refusals."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Value
from amaranth.sim import Simulator
from core_bench import as_ints, as_words, run_pipe

from spikeloom.hdl.cores.staircase.search import SearchSpec
from spikeloom.hdl.cores.staircase.serial import SerialSpec
from spikeloom.hdl.cores.staircase.spec import StaircaseSpec
from spikeloom.hdl.cores.staircase.stairs import Stairs
from spikeloom.hdl.streams.words import WordFormat

CHANNELS = 4


def made(kind: type[Stairs], count: int, valued: bool, *, lanes: int = 2, ranges: tuple[int, int] = (-20, 25),
         alike: bool = False, serial: int = 0) -> Stairs:  # fmt: skip
    """Thresholds in and beyond the range, with many equal ones; those of a channel are all too high.
    ``serial``: lanes with a comparator."""
    rng = np.random.default_rng(count)
    threshold = np.sort(rng.integers(-30, 35, (CHANNELS, count)))
    threshold[1] += 130
    values = rng.integers(-99, 100, (CHANNELS, count + 1)) if valued else None
    if alike:
        threshold[:] = threshold[0]
        values = None if values is None else np.tile(values[0], (CHANNELS, 1))
    form = WordFormat(lanes, 1, *ranges)
    spread = np.tile(ranges, (CHANNELS, 1))
    low = 0 if valued else -(count // 2)
    fields = {"lanes": serial} if serial else {}
    return kind(threshold=threshold, low=low, values=values, i_format=form, ranges=spread, **fields)


def naive(spec: Stairs, currents: np.ndarray) -> list[int]:
    """The values of ``currents`` (n, C), in Python integers."""
    found = []
    for row in currents.tolist():
        for c, x in enumerate(row):
            k = sum(x >= t for t in spec.threshold[c].tolist())
            found.append(int(spec.values[c, k]) if spec.values is not None else spec.low + k)
    return found


def every(spec: Stairs) -> np.ndarray:
    """Every current in every channel (n, C)."""
    form = spec.i_format
    return np.arange(form.low, form.high + 1).repeat(CHANNELS).reshape(-1, CHANNELS)


def agrees(spec: Stairs) -> None:
    """Every value in every channel: the core, its model, a loop; a result ``latency`` cycles behind its word."""
    currents = every(spec)
    x = currents.reshape(-1, spec.i_format.lanes, 1)
    went, came = run_pipe(spec.core(), as_ints(spec.i_format.pack(x)))
    got = spec.o_format.unpack(as_words([w for _, w in came], spec.o_format)).reshape(-1)
    assert got.tolist() == spec.compute(x).reshape(-1).tolist() == naive(spec, currents)
    assert [c for c, _ in came] == [c + spec.latency for c in went]


@pytest.mark.parametrize("valued", [False, True])
@pytest.mark.parametrize("count", [1, 16, 255])
def test_every_value_of_a_current(count: int, valued: bool) -> None:
    """A comparison a cycle; of more thresholds than currents, most are equal."""
    agrees(made(SearchSpec, count, valued))


@pytest.mark.parametrize("valued", [False, True])
def test_a_channel_at_once_and_all_of_them(valued: bool) -> None:
    agrees(made(SearchSpec, 70, valued, lanes=1 if valued else 4))


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("count", [1, 15])
def test_values_behind_comparisons(count: int, lanes: int, alike: bool) -> None:
    agrees(made(StaircaseSpec, count, True, lanes=lanes, alike=alike))


@pytest.mark.parametrize("ranges", [(0, 31), (-32, 31), (-31, 0)])
def test_ranges_that_fill_their_bits(ranges: tuple[int, int]) -> None:
    """One above the highest current is a threshold of a bit more."""
    agrees(made(SearchSpec, 20, False, ranges=ranges))
    agrees(made(SearchSpec, 20, True, ranges=ranges))


def test_values_of_many_groups_are_in_block_ram() -> None:
    """The values of 80 channels, one after the other: a cycle more."""
    rng = np.random.default_rng(1)
    form, channels = WordFormat(1, 1, -8, 7), 80
    spec = StaircaseSpec(threshold=np.sort(rng.integers(-8, 8, (channels, 3))), low=0,
                         values=rng.integers(-9, 9, (channels, 4)), i_format=form,
                         ranges=np.tile([-8, 7], (channels, 1)))  # fmt: skip
    x = rng.integers(-8, 8, (2 * channels, 1, 1))
    went, came = run_pipe(spec.core(), as_ints(form.pack(x)))
    got = spec.o_format.unpack(as_words([w for _, w in came], spec.o_format))
    assert np.array_equal(got, spec.compute(x)) and spec.latency == 3
    assert [c for c, _ in came] == [c + 3 for c in went]


def test_channels_that_are_alike_share_a_memory() -> None:
    own, shared = (made(SearchSpec, 63, True, lanes=1, alike=alike) for alike in (False, True))
    assert isinstance(own, SearchSpec) and isinstance(shared, SearchSpec)
    assert [step.table.depth for step in own.searched] == [4 * step.table.depth for step in shared.searched]
    agrees(shared)


def run_apart(spec: SerialSpec, words: list[int], *, seed: int = 0) -> tuple[list[int], list[tuple[int, int]]]:
    """Feed ``words`` ``turnaround`` cycles apart, or a few more; each stays until its last part has begun, then the
    payload is all ones. Return the cycles they went in, and (cycle, word) out."""
    rng = np.random.default_rng(seed)
    gaps = np.where(rng.random(len(words)) < 0.5, 0, rng.integers(0, 5, len(words)))
    starts = np.cumsum(spec.turnaround + gaps).tolist()
    core, came = spec.core(), []
    simulator = Simulator(core)
    simulator.add_clock(1e-6)
    stays = (spec.ratio - 1) * spec.cycles

    async def bench(ctx: Any) -> None:
        for cycle in range(starts[-1] + spec.turnaround + 40):
            k = int(np.searchsorted(starts, cycle, side="right")) - 1
            here = k >= 0 and cycle - starts[k] <= stays
            ctx.set(core.i.valid, k >= 0 and cycle == starts[k])
            ctx.set(Value.cast(core.i.payload), words[k] if here else (1 << spec.i_format.width) - 1)
            _, _, valid, out = await ctx.tick().sample(core.o.valid, Value.cast(core.o.payload))
            if valid:
                came.append((cycle, int(out)))

    simulator.add_testbench(bench)
    simulator.run()
    return starts, came


@pytest.mark.parametrize("valued", [False, True])
@pytest.mark.parametrize(("count", "lanes"), [(1, 4), (5, 2), (40, 1), (255, 4)])
def test_one_comparator_a_lane(count: int, lanes: int, valued: bool) -> None:
    """Words as near as they may come: the parts of each follow each other in consecutive cycles."""
    spec = made(SerialSpec, count, valued, lanes=4, ranges=(-9, 14), serial=lanes)
    assert isinstance(spec, SerialSpec)
    currents = every(spec)
    x = currents.reshape(-1, 4, 1)
    went, came = run_apart(spec, as_ints(spec.i_format.pack(x)))
    got = spec.o_format.unpack(as_words([w for _, w in came], spec.o_format)).reshape(-1)
    assert got.tolist() == spec.compute(x).reshape(-1).tolist() == naive(spec, currents)
    assert [c for c, _ in came] == [c + spec.latency + p for c in went for p in range(spec.ratio)]
    assert all(b - a >= spec.turnaround for a, b in pairwise(went))


def test_a_memory_in_block_ram_takes_two_cycles_a_level() -> None:
    logic, block = (made(SerialSpec, count, False, lanes=4, serial=4, alike=True) for count in (31, 255))
    assert isinstance(logic, SerialSpec) and isinstance(block, SerialSpec)
    assert (logic.cycles, block.cycles) == (5, 16)
    assert (logic.parts().ebr, block.parts().ebr) == (0, 4)
    assert (logic.turnaround, logic.latency) == (5, 6)


def test_errors_name_the_rule() -> None:
    with pytest.raises(ValueError, match=r"values must have shape \(4, 6\), one more than thresholds, not \(4, 5\)"):
        StaircaseSpec(threshold=np.zeros((4, 5), int), low=0, values=np.ones((4, 5), int),
                      i_format=WordFormat(1, 1, 0, 1), ranges=np.tile([0, 1], (4, 1)))  # fmt: skip
    with pytest.raises(ValueError, match="lanes=3 does not divide the 4 lanes of a word"):
        made(SerialSpec, 5, False, lanes=4, serial=3)
    with pytest.raises(ValueError, match="lanes=1 makes 4 parts of a word, more than the 3 cycles"):
        made(SerialSpec, 5, False, lanes=4, serial=1)
