"""Blocks of pixels: their order against plain loops, and the FIFO that puts them back, in every cycle."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from spikeloom.hdl.streams.blocks import BlockFifo, BlockFifoSpec, Blocks

BLOCKS = [
    Blocks(4, 2, 3, 3), Blocks(5, 2, 4, 2), Blocks(7, 3, 6, 1), Blocks(3, 3, 4, 4), Blocks(4, 3, 2, 1),
    Blocks(9, 4, 8, 4), Blocks(1, 1, 6, 2), Blocks(6, 1, 6, 3), Blocks(2, 2, 1, 1), Blocks(8, 5, 3, 1),
]  # fmt: skip


@pytest.mark.parametrize("blocks", BLOCKS, ids=str)
def test_elements_go_to_blocks_and_back(blocks: Blocks) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(1, 99, (3, blocks.width, blocks.channels, 2))
    expected, order = [], []
    for row in x:
        for block in range(blocks.count):
            for group in range(blocks.groups):
                for pixel in range(blocks.pixels):
                    for o in range(blocks.outputs):
                        at, channel = block * blocks.pixels + pixel, group * blocks.outputs + o
                        expected.append(row[at, channel] if at < blocks.width else [0, 0])
                        order.append(channel)
    each = blocks.pixels * blocks.channels
    found = blocks.gathered(x)
    assert np.array_equal(found, np.reshape(expected, (-1, each, 2)))
    assert np.array_equal(blocks.spread(found), x)
    assert blocks.order.tolist() == order[:each]
    assert (blocks.count - 1) * blocks.pixels + blocks.last == blocks.width and 0 < blocks.last <= blocks.pixels


@dataclass(frozen=True)
class Case:
    """A FIFO of ``slots`` blocks, words of ``lanes`` channels."""

    blocks: Blocks
    lanes: int
    slots: int

    def spec(self) -> BlockFifoSpec:
        return BlockFifoSpec(self.blocks, self.lanes, 16, self.slots)


CASES = {
    "one group": Case(Blocks(4, 2, 3, 3), 3, 2),
    "one group, part by part": Case(Blocks(6, 3, 3, 3), 1, 2),
    "groups": Case(Blocks(4, 2, 6, 2), 2, 2),
    "groups, part by part": Case(Blocks(8, 4, 6, 2), 1, 3),
    "ragged": Case(Blocks(5, 2, 4, 2), 2, 2),
    "ragged, three slots": Case(Blocks(7, 3, 6, 2), 1, 3),
    "ragged, one slot": Case(Blocks(8, 5, 3, 1), 1, 1),
    "a row is a block": Case(Blocks(3, 3, 4, 2), 1, 2),
    "two blocks, the last of one pixel": Case(Blocks(6, 5, 2, 1), 1, 2),
}
ROWS = 5


def run(spec: BlockFifoSpec, words: list[int], pauses: tuple[float, float], seed: int) -> list[list[int]]:
    """Send ``words`` as far as there are slots; return the cycles in which they came, in which words were first
    offered, in which they left, what they were, and the cycles in which a block left."""
    core, rng = BlockFifo(spec), np.random.default_rng(seed)
    came, offered, left, out, blocks_left = (list[int]() for _ in range(5))

    async def bench(ctx: Any) -> None:
        quiet = 0
        for cycle in range(40 * len(words) + 100):
            room = len(came) // spec.words - len(blocks_left) < spec.slots
            sends = len(came) < len(words) and (room or len(came) % spec.words != 0) and rng.random() >= pauses[0]
            ready = bool(rng.random() >= pauses[1])
            ctx.set(core.i.valid, sends)
            ctx.set(core.i.payload, words[len(came)] if sends else 0xFFFF)
            ctx.set(core.o.ready, ready)
            _, _, valid, word, done = await ctx.tick().sample(core.o.valid, core.o.payload, core.left)
            assert valid or not done
            if valid and len(offered) == len(left):
                offered.append(cycle)
                out.append(int(word))
            if sends:
                came.append(cycle)
            if valid:
                assert out[len(left)] == word, "a word that is offered stays"
                if ready:
                    left.append(cycle)
            if done:
                blocks_left.append(cycle)
            quiet = 0 if valid or len(came) < len(words) else quiet + 1
            if quiet > 4 * spec.slots * spec.words:
                break  # nothing more comes

    simulator = Simulator(core)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return [came, offered, left, out, blocks_left]


@pytest.mark.parametrize("pauses", [(0.0, 0.0), (0.5, 0.3), (0.1, 0.7)])
@pytest.mark.parametrize("name", CASES)
def test_the_fifo_restores_the_order_of_pixels(name: str, pauses: tuple[float, float]) -> None:
    spec = CASES[name].spec()
    blocks, parts = spec.blocks, spec.parts_of_pixel
    words_of = Blocks(blocks.width, blocks.pixels, blocks.groups * parts, parts)
    x = np.arange(1, ROWS * blocks.width * words_of.channels + 1).reshape(ROWS, blocks.width, words_of.channels)
    sent = words_of.gathered(x)
    came, offered, left, out, blocks_left = run(spec, sent.reshape(-1).tolist(), pauses, 3)
    assert out == x.reshape(-1).tolist() and len(left) == len(out) and len(came) == sent.size
    # The law: all words of a block may be offered from one cycle after the last of them came.
    sizes = [(blocks.last if k % blocks.count == blocks.count - 1 else blocks.pixels) * words_of.channels
             for k in range(len(sent))]  # fmt: skip
    there = np.repeat([came[(k + 1) * spec.words - 1] + 1 for k in range(len(sent))], sizes)
    for k, cycle in enumerate(offered):
        assert cycle == max(int(there[k]), left[k - 1] + 1 if k else 0)
    assert blocks_left == [left[end - 1] for end in np.cumsum(sizes).tolist()]


def test_addresses_fit_the_memory() -> None:
    """The highest address is used, and with one word less it would be beyond."""
    for case in CASES.values():
        spec = case.spec()
        bits = [(n - 1).bit_length() for n in spec.loops]
        highest = 0
        for index in np.ndindex(spec.slots, *reversed(spec.loops)):
            address = 0
            for value, width in zip(index, [0, *reversed(bits)], strict=True):
                address = address << width | value
            highest = max(highest, address)
        assert spec.depth == highest + 1


def test_errors_name_the_rule() -> None:
    with pytest.raises(ValueError, match=r"lanes=2 does not divide the 3 outputs of a group"):
        BlockFifoSpec(Blocks(4, 2, 3, 3), 2, 8, 2)
    with pytest.raises(ValueError, match=r"slots must be a positive integer, not 0"):
        BlockFifoSpec(Blocks(4, 2, 3, 3), 1, 8, 0)
