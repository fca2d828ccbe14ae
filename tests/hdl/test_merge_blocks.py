"""The merge where several pixels are computed together: sums, what holds the window, what waits for a slot, and the
cycles of the law, against plain loops."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from core_bench import as_ints, as_words

from spikeloom.hdl.cores.merge.core import Merge
from spikeloom.hdl.cores.merge.spec import MergeSpec
from spikeloom.hdl.streams.blocks import Blocks
from spikeloom.hdl.streams.law import Link
from spikeloom.hdl.streams.words import WordFormat

ROWS = 4


@dataclass(frozen=True)
class Case:
    """``blocks``, words of ``lanes`` channels, the steps of the currents and the shortcut's words, its channels."""

    blocks: Blocks
    lanes: int
    skip: WordFormat
    steps: int = 1
    first: int = 0
    channels: int = 0
    scans: int = 1
    slots: int = 2
    negative: bool = False

    def spec(self) -> MergeSpec:
        blocks, channels = self.blocks, self.channels or self.blocks.channels
        gain = np.random.default_rng(2).integers(1, 8, blocks.channels) * np.resize([1, -1], blocks.channels)
        gain = -np.abs(gain) if self.negative else gain
        gain[: self.first] = 0
        gain[self.first + channels :] = 0
        ranges = np.array([[-9 - k, 8 + k] for k in range(blocks.channels)])
        form = WordFormat(self.lanes, self.steps, -8 - blocks.channels, 7 + blocks.channels)
        words = channels // self.lanes
        return MergeSpec(gain=gain[blocks.order], first=self.first, channels=channels, shortcut_format=self.skip,
                         i_format=form, scans=self.scans, ranges=ranges[blocks.order], blocks=blocks,
                         result_words=blocks.outputs * blocks.pixels // self.lanes,
                         depth=self.slots * blocks.pixels * words)  # fmt: skip


CASES = {
    "identity": Case(Blocks(4, 2, 4, 4), 2, WordFormat(2, 1, 0, 3)),
    "groups": Case(Blocks(6, 3, 6, 2), 2, WordFormat(2, 1, 0, 3)),
    "groups, part by part": Case(Blocks(8, 4, 8, 4), 2, WordFormat(2, 1, 0, 1)),
    "ragged": Case(Blocks(5, 2, 6, 2), 2, WordFormat(2, 1, 0, 3)),
    "ragged, three slots": Case(Blocks(7, 3, 6, 3), 1, WordFormat(1, 1, -2, 1), slots=3),
    "ragged, one slot": Case(Blocks(7, 5, 4, 2), 2, WordFormat(2, 1, 0, 1), slots=1),
    "a row is a block": Case(Blocks(3, 3, 4, 2), 2, WordFormat(2, 1, 0, 3)),
    "the first channels": Case(Blocks(5, 2, 8, 2), 2, WordFormat(2, 1, 0, 3), channels=4),
    "channels in the middle": Case(Blocks(5, 2, 12, 4), 2, WordFormat(2, 1, 0, 3), first=2, channels=6),
    "the last channels": Case(Blocks(4, 4, 8, 2), 2, WordFormat(2, 1, 0, 3), first=6, channels=2),
    "half of a group": Case(Blocks(5, 3, 8, 4), 1, WordFormat(1, 1, 0, 3), first=5, channels=2),
    "a step each": Case(Blocks(5, 2, 4, 2), 2, WordFormat(2, 3, 0, 1), steps=3),
    "the same in every step": Case(Blocks(4, 2, 4, 2), 2, WordFormat(2, 1, 0, 5), steps=2),
    "added up": Case(Blocks(4, 2, 4, 2), 2, WordFormat(2, 4, 0, 1)),
    "two steps a scan": Case(Blocks(5, 2, 4, 2), 2, WordFormat(2, 4, 0, 1), steps=2, scans=2),
    "all gains negative": Case(Blocks(4, 3, 4, 4), 1, WordFormat(1, 1, 0, 3), negative=True),
}


@dataclass
class Run:
    """Cycles in which shortcut words were offered and taken, in which currents came and results were scanned, those in
    which the next result was held, and (cycle, sum) out."""

    offered: list[int]
    taken: list[int]
    went: list[int]
    scanned: list[int]
    held: list[int]
    came: list[tuple[int, int]]


def run(spec: MergeSpec, currents: list[int], skip: list[int], pauses: tuple[float, float, float]) -> Run:
    """Feed the shortcut with pauses; announce a result once it is not held, two cycles behind the one before or more,
    its currents behind it."""
    core, rng, found = Merge(spec), np.random.default_rng(5), Run([], [], [], [], [], [])
    each = spec.result_words * spec.scans

    async def bench(ctx: Any) -> None:
        for cycle in range(20000):
            held = bool(ctx.get(core.hold))
            if held:
                found.held.append(cycle)
            due = len(found.scanned) * each - len(found.went)
            begins = not held and due < 2 * each and len(found.scanned) * each < len(currents) \
                and cycle - 1 not in found.scanned[-1:] and rng.random() >= pauses[1]  # fmt: skip
            ctx.set(core.scanned, begins)
            moves = due > 0 and rng.random() >= pauses[2]
            ctx.set(core.i.valid, moves)
            ctx.set(core.i.payload, currents[len(found.went)] if moves else ~0)
            if len(found.offered) == len(found.taken) < len(skip) and rng.random() >= pauses[0]:
                found.offered.append(cycle)
            offers = len(found.offered) > len(found.taken)
            ctx.set(core.skip.valid, offers)
            ctx.set(core.skip.payload, skip[len(found.taken)] if offers else ~0)
            _, _, ready, valid, out = await ctx.tick().sample(core.skip.ready, core.o.valid, core.o.payload)
            if begins:
                found.scanned.append(cycle)
            if moves:
                found.went.append(cycle)
            if offers and ready:
                found.taken.append(cycle)
            if valid:
                found.came.append((cycle, int(out)))
            if len(found.came) == len(currents):
                return

    simulator = Simulator(core)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found


def needed(spec: MergeSpec) -> list[int]:
    """For every result the shortcut words that must have come, by looking for the last one that it takes."""
    blocks, found = spec.of_blocks, []
    parts = blocks.outputs // spec.i_format.lanes
    for block in range(ROWS * blocks.count):
        row, k = divmod(block, blocks.count)
        for group in range(blocks.groups):
            most = 0
            for pixel in range(k * blocks.pixels, min(blocks.width, (k + 1) * blocks.pixels)):
                for part in range(parts):
                    word = (group * parts + part) - spec.first // spec.i_format.lanes
                    if 0 <= word < spec.words:
                        most = max(most, (row * blocks.width + pixel) * spec.words + word + 1)
            found.append(most)
    return found


@pytest.mark.parametrize("pauses", [(0.0, 0.0, 0.0), (0.5, 0.0, 0.3), (0.1, 0.7, 0.3)])
@pytest.mark.parametrize("name", CASES)
def test_sums_holds_and_cycles(name: str, pauses: tuple[float, float, float]) -> None:
    case, rng = CASES[name], np.random.default_rng(4)
    spec, blocks, lanes = case.spec(), case.blocks, case.lanes
    steps, c, channels = case.steps * case.scans, blocks.channels, spec.channels
    x = rng.integers(-8, 9, (ROWS, blocks.width, c, steps))
    s = rng.integers(case.skip.low, case.skip.high + 1, (ROWS, blocks.width, channels, case.skip.steps))
    gain = np.zeros(c, np.int64)
    gain[blocks.order] = spec.gain
    sums = x.copy()
    taken = s.sum(-1, keepdims=True) if steps == 1 else s
    sums[:, :, case.first : case.first + channels] += gain[case.first : case.first + channels, None] * taken

    def words(values: np.ndarray) -> np.ndarray:
        """As currents come: block by block, group by group, in each scan by scan."""
        y = blocks.gathered(values).reshape(-1, lanes, case.scans, case.steps)
        return y.transpose(0, 2, 1, 3).reshape(-1, lanes, case.steps)

    real = words(np.ones_like(x))[:, 0, 0] == 1  # not idle
    shortcut = s.reshape(-1, lanes, case.skip.steps)
    assert np.array_equal(spec.compute(words(x), shortcut)[real], words(sums)[real])
    found = run(spec, as_ints(spec.i_format.pack(words(x))), as_ints(case.skip.pack(shortcut)), pauses)
    got = spec.o_format.unpack(as_words([word for _, word in found.came], spec.o_format))
    assert np.array_equal(got[real], words(sums)[real])
    assert [cycle for cycle, _ in found.came] == [cycle + spec.latency for cycle in found.went]

    # The window is held while words of the next result are missing, and never else.
    need, arrived, result, held = needed(spec), 0, 0, []
    events = sorted({(cycle, 0) for cycle in found.taken} | {(cycle, 1) for cycle in found.scanned})
    at = 0
    for cycle in range(found.scanned[-1] + 1):
        if arrived < need[result]:
            held.append(cycle)
        while at < len(events) and events[at][0] == cycle:
            arrived, result = arrived + (events[at][1] == 0), result + events[at][1]
            at += 1
    assert [cycle for cycle in found.held if cycle <= found.scanned[-1]] == held

    # Words wait for a slot: the first of a block until the block that was there has passed.
    each, block = spec.result_words * spec.scans * blocks.groups, blocks.pixels * spec.words
    freed = [found.went[(k + 1) * each - 1] for k in range(len(found.went) // each)]
    for k, (offered, cycle) in enumerate(zip(found.offered, found.taken, strict=True)):
        row, within = divmod(k, blocks.width * spec.words)
        before = row * blocks.count + within // block - case.slots
        assert cycle == max(offered, freed[before] + 1 if before >= 0 and within % block == 0 else 0)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.scans == 1])
def test_the_law_says_the_same(name: str) -> None:
    """Its cycles for a shortcut that is always there are those of the hardware."""
    spec = CASES[name].spec()
    blocks = spec.of_blocks
    count = ROWS * blocks.width * spec.words
    currents = ROWS * blocks.count * spec.groups
    found = run(spec, [0] * currents, [0] * count, (0.0, 0.0, 0.0))
    link = Link()
    link.offered.extend([0] * count)
    (law,) = spec.extra_laws([link], 1)
    for result, cycle in enumerate(found.scanned):
        law.feed()
        ready = law.ready(result)
        assert ready is not None and ready <= cycle
        law.finish(result, found.went[result * spec.result_words] - 1)
    law.feed()
    assert link.taken == found.taken
    free = Link()
    free.offered.extend([0] * count)
    (endless,) = replace(spec, depth=None).extra_laws([free], 1)
    endless.feed()
    assert free.taken == list(range(count))


def test_room_is_for_whole_blocks() -> None:
    spec = CASES["ragged"].spec()  # rows of 5 pixels, two a block, three words a pixel
    assert [spec.holding(n) for n in (0, 1, 6, 7, 13)] == [6, 6, 6, 12, 18]
    for pixels in range(1, 12):
        most = 0
        for first in range(5):
            blocks = {((first + k) // 5, (first + k) % 5 // 2) for k in range(pixels)}
            most = max(most, len(blocks))
        assert spec.room(pixels) == most * 6
    with pytest.raises(ValueError, match="The FIFO must hold 12 words at least, not 7"):
        replace(spec, depth=7)


def test_a_merge_pixel_by_pixel_has_room_for_single_words() -> None:
    spec = MergeSpec(gain=np.ones(4, int), first=0, channels=4, shortcut_format=WordFormat(2, 1, 0, 1), scans=1,
                     i_format=WordFormat(2, 1, 0, 1), result_words=2, ranges=np.array([[0, 1]] * 4))  # fmt: skip
    assert spec.room(3) == 6 and spec.holding(1) == 2 and spec.holding(5) == 5
