"""The merge of a shortcut: sums against the model and naive loops, and the cycle in which they come."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from core_bench import as_ints, as_words

from spikeloom.hdl.cores.merge.core import Merge
from spikeloom.hdl.cores.merge.spec import MergeSpec
from spikeloom.hdl.streams.words import WordFormat


@dataclass
class Case:
    """Steps of currents and of the shortcut, and the rest of a merge of six channels, two at once."""

    steps: int
    skip: WordFormat
    gain: tuple[int, ...] = (3, -2, 5, 0, -7, 1)
    first: int = 0
    channels: int = 6
    scans: int = 1
    result_words: int = 1

    def spec(self) -> MergeSpec:
        ranges = np.array([[-9 - k, 8 + k] for k in range(6)])
        form = WordFormat(2, self.steps, -14, 13)
        gain = np.where((np.arange(6) >= self.first) & (np.arange(6) < self.first + self.channels), self.gain, 0)
        return MergeSpec(gain=gain, first=self.first, channels=self.channels, shortcut_format=self.skip, i_format=form,
                         scans=self.scans, result_words=self.result_words, ranges=ranges, depth=5)  # fmt: skip


CASES = {
    "a step each": Case(3, WordFormat(2, 3, 0, 1)),
    "steps of both signs": Case(2, WordFormat(2, 2, -1, 1)),
    "the same in every step": Case(3, WordFormat(2, 1, 0, 5)),
    "added up": Case(1, WordFormat(2, 4, 0, 1)),
    "two steps, added up": Case(1, WordFormat(2, 2, 0, 1)),
    "added up, of both signs": Case(1, WordFormat(2, 3, -1, 1)),
    "a step a scan": Case(1, WordFormat(2, 3, 0, 1), scans=3),
    "two steps a scan": Case(2, WordFormat(2, 4, 0, 1), scans=2),
    "one step": Case(1, WordFormat(2, 1, -3, 4)),
    "currents already": Case(1, WordFormat(2, 1, -30, 40), gain=(1,) * 6),
    "channels in the middle": Case(1, WordFormat(2, 1, 0, 3), first=2, channels=2),
    "the last channels, two words a result": Case(2, WordFormat(2, 2, 0, 1), first=2, channels=4, result_words=3),
    "all gains negative": Case(1, WordFormat(2, 1, 0, 3), gain=(-3, -2, -5, -1, -7, -4)),
}
PIXELS = 6


def run(spec: MergeSpec, currents: list[int], skip: list[int], seed: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Feed the shortcut with pauses, and the currents of a result once it is not held; return the cycles they went in,
    and (cycle, sum) out."""
    core, rng = Merge(spec), np.random.default_rng(seed)
    went, came = list[int](), list[tuple[int, int]]()

    async def bench(ctx: Any) -> None:
        fed, sent, left, pause = 0, 0, 0, 0
        for cycle in range(2000):
            begins = not left and not pause and sent < len(currents) and not ctx.get(core.hold)
            ctx.set(core.scanned, begins)
            offers = fed < len(skip) and rng.random() < 0.5
            ctx.set(core.skip.valid, offers)
            ctx.set(core.skip.payload, skip[fed] if offers else ~0)
            moves = left > 0 and rng.random() < 0.7
            ctx.set(core.i.valid, moves)
            ctx.set(core.i.payload, currents[sent] if moves else ~0)
            _, _, ready, valid, out = await ctx.tick().sample(core.skip.ready, core.o.valid, core.o.payload)
            fed += offers and ready
            if valid:
                came.append((cycle, int(out)))
            if moves:
                went.append(cycle)
                sent, left = sent + 1, left - 1
            if begins:
                left = spec.result_words * spec.scans
            if sent == len(currents) and len(came) == len(currents):
                return

    simulator = Simulator(core)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return went, came


@pytest.mark.parametrize("name", CASES)
def test_sums_and_their_cycles(name: str) -> None:
    case, rng = CASES[name], np.random.default_rng(4)
    spec, steps = case.spec(), case.steps * case.scans
    x = rng.integers(spec.ranges[:, :1, None], spec.ranges[:, 1:, None] + 1, (PIXELS, 6, steps))
    x[0], x[1] = spec.ranges[:, :1], spec.ranges[:, 1:]
    s = rng.integers(case.skip.low, case.skip.high + 1, (PIXELS, case.channels, case.skip.steps))
    s[0], s[1] = case.skip.high, case.skip.low
    expected = x.copy()
    for pixel in range(PIXELS):
        for channel in range(case.channels):
            taken = s[pixel, channel]
            taken = taken.sum(keepdims=True) if steps == 1 else taken
            for t in range(steps):
                value = spec.gain[case.first + channel] * taken[t % len(taken)]
                expected[pixel, case.first + channel, t] += value

    def words(values: np.ndarray) -> np.ndarray:
        """In the order of the stream: group by group, in each scan by scan."""
        return values.reshape(PIXELS, 3, 2, case.scans, case.steps).transpose(0, 1, 3, 2, 4).reshape(-1, 2, case.steps)

    shortcut = s.reshape(-1, 2, case.skip.steps)
    assert np.array_equal(spec.compute(words(x), shortcut), words(expected))
    went, came = run(spec, as_ints(spec.i_format.pack(words(x))), as_ints(case.skip.pack(shortcut)), 5)
    got = spec.o_format.unpack(as_words([word for _, word in came], spec.o_format))
    assert np.array_equal(got, words(expected))
    assert [cycle for cycle, _ in came] == [cycle + spec.latency for cycle in went]
    assert spec.o_format.low == min(spec.o_ranges[:, 0]) and spec.o_format.high == max(spec.o_ranges[:, 1])
    assert spec.latency == 3 + (0 if name == "currents already" else (len(bin(reach(case))) - 3).bit_length())


def reach(case: Case) -> int:
    """A number as long as a multiplicand: its bits are added in a tree."""
    times = case.skip.steps if case.steps * case.scans == 1 else 1
    low, high = case.skip.low * times, case.skip.high * times
    return max(high, -low - 1) * (2 if low < 0 else 1) + (low < 0)


def test_words_that_a_result_takes() -> None:
    spec = CASES["the last channels, two words a result"].spec()
    assert spec.takes == [False, True, True] and spec.needs == [2] and spec.words == 2
    assert CASES["channels in the middle"].spec().needs == [0, 1, 0]
