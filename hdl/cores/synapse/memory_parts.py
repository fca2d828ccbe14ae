"""The weight memory of a synapse array before synthesis: how wide its words are, and what it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ...cost.parts import Parts, index_bits
from ...memory.logic_rom import address_copies
from ...memory.packed import Packing, packed_parts, packing
from ...memory.style import rom_style

if TYPE_CHECKING:
    from .spec import SynapseSpec

__all__ = ["FEW", "changing_bits", "columns_of", "memory_parts", "packed_form", "unpacked_reason"]

FEW = 12
"""Words of a memory in logic up to which equal columns become one."""


def memory_parts(core: SynapseSpec, parts: Parts, width: int, columns: Callable[[], int]) -> None:
    """The weight memory of ``width`` bits a word, its address, and the register behind it where it is no block RAM;
    ``columns``: its bits that are not the same in all words."""
    depth = core.groups * core.words
    if core.packs and core.packing is not None:
        parts.add(packed_parts(depth, width, core.packing))
        return
    if not core.addressed:
        if core.scans == 1:
            parts.counter(depth)
        else:
            parts.registers(2 * index_bits(depth))
            parts.logic["address of scans"] += index_bits(depth)
            parts.counter(core.scans)
    if rom_style(depth, width) == "block" and not core.logic:
        parts.rom(depth, width, core.lookup)
        return
    changing = columns()
    parts.memory(depth, changing, "logic", written=False)
    parts.registers(index_bits(depth) * (address_copies(depth, changing) + core.lookup - 2))


def packed_form(core: SynapseSpec) -> Packing | None:
    """The form in which the weights of ``core`` take fewer block RAMs; None where there is none."""
    width = core.outputs * core.inputs * (core.weight_bits if core.multiplies else 1)
    if core.gated and not core.multiplies:
        key = "width", core.outputs, core.inputs, core.addressed
        width = core.known.shared(key, lambda: int(core.layout.bits.sum()))
    return None if core.constant else packing(core.groups * core.words, width)


def unpacked_reason(core: SynapseSpec) -> str:
    """Why the weights of ``core`` cannot be packed, empty where they can."""
    if core.addressed:
        return "words are skipped, and rows are then read in any order"
    if core.scans > 1:
        return "rows are read again for each group of time steps"
    if core.logic:
        return "its weights are in LUTs"
    return "" if core.packing is not None else "that saves no block RAM"


def changing_bits(core: SynapseSpec, mask: np.ndarray, flips: np.ndarray) -> int:
    """The bits in ``mask`` (outputs, inputs) of the weights in a memory in logic that are not the same in all words; of
    a few words, equal ones are one bit. Those in ``flips`` (outputs, inputs) are inverted."""
    known, depth = core.known, core.groups * core.words
    unsigned = np.dtype(f"u{known.narrow.itemsize}")
    if depth > FEW:
        some, every = (known.lanes(how, core.outputs, core.inputs) for how in (np.bitwise_or, np.bitwise_and))
        changing = (some & ~every).view(unsigned) & mask.astype(unsigned)
        return int(np.bitwise_count(changing).sum(dtype=np.int64))
    weight = known.narrow.view(unsigned).reshape(core.groups, core.outputs, core.words, core.inputs)
    mask, flips = mask.astype(unsigned), flips.astype(unsigned)
    words = [(weight[g, :, w] ^ flips) & mask for g in range(core.groups) for w in range(core.words)]
    found = np.zeros(1 << depth, bool)
    for bit in range(int(mask.max()).bit_length()):
        column = np.zeros(mask.shape, np.uint16)
        for k, word in enumerate(words):
            column |= (word >> bit & 1).astype(np.uint16) << k
        found[column] = True
    return int(found[1:-1].sum())


def columns_of(rows: np.ndarray) -> int:
    """Columns (rows, columns) of a memory in logic that are not constant; of a few rows, equal columns are one."""
    depth = len(rows)
    if depth <= FEW:
        found = np.unique((rows.astype(np.int64) << np.arange(depth)[:, None]).sum(0))
        return int(((found > 0) & (found < (1 << depth) - 1)).sum())
    return int((rows.any(0) & ~rows.all(0)).sum())
