"""Blocks of pixels: what a stage that walks neighbouring windows together makes, and how it leaves pixel by pixel.

Of P pixels and the channels of G groups of outputs the results come group by group, and in each of them pixel by pixel
(and, where neuron units are shared, part by part). A stream has them pixel by pixel. So a block is collected in a
memory whose write address is the place of a word in that order, and leaves from there: nothing behind the stage knows
of blocks. A row of W pixels has ceil(W / P) blocks, a pixel of C channels ceil(C / outputs) groups; pixels of the last
block that are beyond the row are idle, and so are channels of the last group beyond C: they do not leave.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..cost.parts import Parts, index_bits
from ..memory.ram import ram
from .counter import counter

__all__ = ["BlockFifo", "BlockFifoSpec", "Blocks", "pixel_counter"]


@dataclass(frozen=True)
class Blocks:
    """The blocks of a row of ``width`` pixels: ``pixels`` of them each, of ``channels`` channels, ``outputs`` of which
    are a group, of the last group perhaps fewer."""

    width: int
    pixels: int
    channels: int
    outputs: int

    @property
    def count(self) -> int:
        """Blocks of a row."""
        return -(-self.width // self.pixels)

    @property
    def last(self) -> int:
        """Pixels of the last block of a row that are not idle."""
        return self.width - (self.count - 1) * self.pixels

    @property
    def groups(self) -> int:
        """Groups of outputs."""
        return -(-self.channels // self.outputs)

    @property
    def idle(self) -> int:
        """Channels of the last group that are idle."""
        return self.groups * self.outputs - self.channels

    @property
    def computed(self) -> np.ndarray:
        """The channels that are computed, (groups * outputs,): all of them, and in place of idle ones the first."""
        return np.r_[np.arange(self.channels), np.arange(self.idle)]

    @property
    def order(self) -> np.ndarray:
        """The channel of every element of a block, (groups * pixels * outputs,), in the order in which they come."""
        whole = self.computed.reshape(self.groups, 1, self.outputs)
        return np.broadcast_to(whole, (self.groups, self.pixels, self.outputs)).reshape(-1)

    def spanned(self, pixels: int) -> int:
        """The most blocks in which so many ``pixels``, one after the other, can lie."""
        first = np.arange(self.width)
        last = first + pixels - 1
        blocks = last // self.width * self.count + last % self.width // self.pixels - first // self.pixels + 1
        return int(blocks.max())

    def gathered(self, x: np.ndarray) -> np.ndarray:
        """Elements (rows, width, channels, ...) pixel by pixel, to those of blocks, (rows * count, groups * pixels *
        outputs, ...), 0 where a pixel or a channel is idle."""
        rest = x.shape[3:]
        beyond = self.count * self.pixels - self.width
        x = np.pad(x, ((0, 0), (0, beyond), (0, self.idle), *((0, 0),) * (x.ndim - 3)))
        x = x.reshape(-1, self.pixels, self.groups, self.outputs, *rest).swapaxes(1, 2)
        return x.reshape(-1, self.groups * self.pixels * self.outputs, *rest)

    def spread(self, x: np.ndarray) -> np.ndarray:
        """Elements of blocks (n, groups * pixels * outputs, ...) to those pixel by pixel, (n / count, width, channels,
        ...), without idle ones."""
        rest = x.shape[2:]
        x = x.reshape(-1, self.groups, self.pixels, self.outputs, *rest).swapaxes(1, 2)
        x = x.reshape(-1, self.count * self.pixels, self.groups * self.outputs, *rest)
        return x[:, : self.width, : self.channels]


@dataclass(frozen=True)
class BlockFifoSpec:
    """A memory of ``slots`` blocks, of words of ``bits`` bits with ``lanes`` channels each; ``lanes`` divides
    ``blocks.outputs`` and ``blocks.channels``."""

    blocks: Blocks
    lanes: int
    bits: int
    slots: int

    def __post_init__(self) -> None:
        if self.blocks.outputs % self.lanes or self.blocks.channels % self.lanes:
            raise ValueError(
                f"lanes={self.lanes} does not divide the {self.blocks.outputs} outputs of a group and the "
                f"{self.blocks.channels} channels"
            )
        if self.slots < 1:
            raise ValueError(f"slots must be a positive integer, not {self.slots!r}")

    @property
    def parts_of_pixel(self) -> int:
        """Words of a pixel in a group."""
        return self.blocks.outputs // self.lanes

    @property
    def words(self) -> int:
        """Words of a block."""
        return self.blocks.groups * self.blocks.pixels * self.parts_of_pixel

    @property
    def loops(self) -> tuple[int, int, int]:
        """Parts of a pixel, groups and pixels, the fields of an address below that of the slot."""
        return self.parts_of_pixel, self.blocks.groups, self.blocks.pixels

    @property
    def depth(self) -> int:
        """Words of the memory: an address is slot, pixel, group and part side by side."""
        return ((self.slots - 1) << sum(map(index_bits, self.loops))) + self._used

    @property
    def _used(self) -> int:
        """One more than the highest address in a slot."""
        part, group, pixel = map(index_bits, self.loops)
        parts, groups, pixels = self.loops
        return ((pixels - 1) << (part + group)) + ((groups - 1) << part) + parts

    def parts(self) -> Parts:
        """What it is made of."""
        parts = Parts()
        parts.memory(self.depth, self.bits, "auto", registered=False)
        for _ in range(2):
            for count in (*self.loops, self.slots):
                parts.counter(count)
        parts.counter(self.blocks.count if self.blocks.last < self.blocks.pixels else 1)  # of what leaves
        level = self.slots.bit_length()
        parts.registers(level)
        parts.logic["level bit"] += level
        return parts


class BlockFifo(wiring.Component):
    """The hardware of a :class:`BlockFifoSpec`. The words of a block are offered one cycle after the last of them came.

    Members: ``i``: In(stream of words in the order of blocks, always ready); ``o``: Out(stream of words pixel by
    pixel); ``left``: Out(1), the last word of a block leaves. Who sends sees to it that there is a slot for a block.
    """

    i: stream.Interface
    o: stream.Interface
    left: Signal

    def __init__(self, spec: BlockFifoSpec) -> None:
        self.spec = spec
        super().__init__(
            {
                "i": In(stream.Signature(spec.bits, always_ready=True)),
                "o": Out(stream.Signature(spec.bits)),
                "left": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, blocks = self.spec, self.spec.blocks
        write, read = ram(m, platform, spec.bits, spec.depth, domain="comb")
        waiting, taken = Signal(range(spec.slots + 1)), Signal()
        parts, groups, pixels = spec.loops
        # What comes: part, pixel, group, slot. What leaves: part, group, pixel, slot.
        part, ends = _loop(m, parts, self.i.valid, "in_part")
        pixel, ends = _loop(m, pixels, ends, "in_pixel")
        group, done = _loop(m, groups, ends, "in_group")
        slot, _ = counter(m, spec.slots, done, "in_slot")
        m.d.comb += [
            write.en.eq(self.i.valid),
            write.addr.eq(Cat(part, group, pixel, slot)),
            write.data.eq(self.i.payload),
            taken.eq(self.o.valid & self.o.ready),
            self.o.valid.eq(waiting != 0),
            self.o.payload.eq(read.data),
        ]
        part, group, ends = self._words_of_pixel(m, taken)
        pixel = pixel_counter(m, blocks, ends, self.left, "out")
        slot, _ = counter(m, spec.slots, self.left, "out_slot")
        m.d.comb += read.addr.eq(Cat(part, group, pixel, slot))
        m.d.sync += waiting.eq(waiting + done - self.left)
        return m


    def _words_of_pixel(self, m: Module, taken: Value) -> tuple[Value, Value, Value]:
        """Counters of the parts and groups of a pixel that leave, and whether both start anew after this cycle."""
        spec, (parts, groups, _) = self.spec, self.spec.loops
        if not spec.blocks.idle:
            part, ends = _loop(m, parts, taken, "out_part")
            return part, *_loop(m, groups, ends, "out_group")
        left = parts - spec.blocks.idle // spec.lanes  # parts of the last group
        part, last_part, pixel_ends = Signal(range(parts), name="out_part"), Signal(), Signal()
        group = Signal(range(groups), name="out_group")
        at_last = group == groups - 1
        m.d.comb += [
            last_part.eq(part == Mux(at_last, left - 1, parts - 1)),
            pixel_ends.eq(taken & last_part & at_last),
        ]
        with m.If(taken):
            m.d.sync += part.eq(Mux(last_part, 0, part + 1))
        with m.If(taken & last_part):
            m.d.sync += group.eq(Mux(at_last, 0, group + 1))
        return part, group, pixel_ends


def _loop(m: Module, count: int, moves: Value, name: str) -> tuple[Value, Value]:
    """A counter, and whether it starts anew after this cycle."""
    value, at_end = counter(m, count, moves, name)
    return value, moves & at_end


def pixel_counter(m: Module, blocks: Blocks, moves: Value, ends: Signal, name: str) -> Value:
    """Return a counter of the pixels of a block that are not idle, which steps where ``moves``; drive ``ends``: a block
    ends after this cycle."""
    if blocks.last == blocks.pixels:
        pixel, whole = _loop(m, blocks.pixels, moves, f"{name}_pixel")
        m.d.comb += ends.eq(whole)
        return pixel
    pixel = Signal(range(blocks.pixels), name=f"{name}_pixel")
    _, last_block = counter(m, blocks.count, ends, f"{name}_block")
    m.d.comb += ends.eq(moves & (pixel == Mux(last_block, blocks.last - 1, blocks.pixels - 1)))
    with m.If(moves):
        m.d.sync += pixel.eq(Mux(ends, 0, pixel + 1))
    return pixel
