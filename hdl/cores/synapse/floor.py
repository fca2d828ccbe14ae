"""What a synapse array takes at least, quickly: its weight memory and the additions of its trees.

It is a part of what ``synapse_parts`` counts, so that it is never more. What it leaves out is what takes long to count,
or little: accumulators, registers; of weights of one bit all additions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...cost.parts import Parts
from ...memory.packed import packed_parts, packing
from ...memory.style import rom_style
from .gated_parts import stored, tree_places
from .memory_parts import FEW, changing_bits
from .parts import table_bits
from .spec import SynapseSpec

__all__ = ["ArrayFloor", "array_floor", "lanes_of"]


class ArrayFloor(NamedTuple):
    """``adders``, the additions for one bit of a multiplicand in one time step, of which there are ``lanes_of``;
    ``rom``, the weights where they are in block RAM, None where they never are; ``packed``, where they are packed, None
    where they never are; ``logic``, the weights in LUTs; ``bits`` of the weight memory."""

    adders: Parts
    rom: Parts | None
    packed: Parts | None
    logic: Parts
    bits: int


def lanes_of(core: SynapseSpec) -> int:
    """Bits of multiplicands that an output adds up at once, of all pixels, each with trees of its own."""
    return core.copies * core.plane_count


def array_floor(core: SynapseSpec) -> ArrayFloor:
    """What ``core`` takes at least. It is the same for all arrays of the same weights, outputs and inputs, but for the
    lanes."""
    adders, rom, logic = Parts(), Parts(), Parts()
    depth = core.groups * core.words
    if core.constant:
        adders.logic["weight table"] += table_bits(core.weight.astype(np.int64)[:, 0])
        return ArrayFloor(adders, None, None, logic, 0)
    if core.bipolar:
        low, high = (core.known.lanes(how, core.outputs, core.inputs) for how in (np.minimum, np.maximum))
        width, changing = core.outputs * core.inputs, int((low != high).sum())
    else:
        mask, flips = stored(core)
        width, changing = int(core.layout.bits.sum()), 0
        adders.logic["chain"] += tree_places(core)
        if depth > FEW:
            changing = changing_bits(core, mask, flips)
    if depth > FEW:  # of a few words equal columns are one, so that few LUTs hold all of them
        logic.memory(depth, changing, "logic", written=False)
    rom.rom(depth, width, core.lookup)
    block = rom_style(depth, width) == "block" and not core.logic
    form = packing(depth, width) if block else None
    packed = None if form is None else packed_parts(depth, width, form)
    return ArrayFloor(adders, rom if block else None, packed, logic, depth * width)
