"""The weight memory of a synapse array before synthesis: how wide its words are, and what it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ...cost.parts import Parts, bits_of, index_bits
from ...memory.logic_rom import address_copies
from ...memory.style import rom_style

if TYPE_CHECKING:
    from .spec import SynapseSpec

__all__ = ["FEW", "changing_bits", "columns_of", "memory_parts", "weight_places"]

FEW = 12
"""Words of a memory in logic up to which equal columns become one."""


def weight_places(core: SynapseSpec) -> tuple[np.ndarray, np.ndarray]:
    """Bits (outputs, pairs) of the weights of every pair of lanes, an odd one by itself, and whether they have a sign,
    as ``hdl.cores.synapse.gated`` keeps them in memory."""
    known, pairs = core.known, core.inputs // 2
    low = np.minimum(known.lanes(np.minimum, core.outputs, core.inputs), 0)  # (outputs, inputs)
    high = np.maximum(known.lanes(np.maximum, core.outputs, core.inputs), 0)
    if core.addressed:  # one format for all pairs of an output
        low, high = (np.broadcast_to(x, low.shape) for x in (low.min(1, keepdims=True), high.max(1, keepdims=True)))
    least = np.minimum(low[:, 0::2][:, :pairs], low[:, 1::2])
    most = np.maximum(high[:, 0::2][:, :pairs], high[:, 1::2])
    least, most = np.concatenate([least, low[:, 2 * pairs :]], 1), np.concatenate([most, high[:, 2 * pairs :]], 1)
    return bits_of(least, most), least < 0


def memory_parts(core: SynapseSpec, parts: Parts, width: int, columns: Callable[[], int]) -> None:
    """The weight memory of ``width`` bits a word, its address, and the register behind it where it is no block RAM;
    ``columns``: its bits that are not the same in all words."""
    depth = core.groups * core.words
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


def changing_bits(core: SynapseSpec, place: np.ndarray, signed: np.ndarray) -> int:
    """Bits of a weight memory in logic that are not the same in all words; of a few words, equal ones are one bit.
    ``place`` (outputs, inputs), bits of each weight; ``signed`` (outputs, pairs) as :func:`weight_places` has it."""
    known, depth = core.known, core.groups * core.words
    unsigned = np.dtype(f"u{known.narrow.itemsize}")
    if depth > FEW:
        some, every = (known.lanes(how, core.outputs, core.inputs) for how in (np.bitwise_or, np.bitwise_and))
        changing = (some & ~every).view(unsigned) & _mask(core, place).astype(unsigned)
        return int(np.bitwise_count(changing).sum(dtype=np.int64))
    weight = known.narrow.view(unsigned).reshape(core.groups, core.outputs, core.words, core.inputs)
    half = core.inputs // 2
    sign = np.zeros(place.shape, np.int64)  # that of every second weight is inverted
    sign[:, 1::2] = signed[:, :half] * (1 << (place[:, 1::2] - 1))
    mask, sign = _mask(core, place).astype(unsigned), sign.astype(unsigned)
    words = [weight[g, :, w] & mask ^ sign for g in range(core.groups) for w in range(core.words)]
    found = np.zeros(1 << depth, bool)
    for bit in range(core.weight_bits):
        column = np.zeros(place.shape, np.uint16)
        for k, word in enumerate(words):
            column |= (word >> bit & 1).astype(np.uint16) << k
        found[column] = True
    return int(found[1:-1].sum())


def _mask(core: SynapseSpec, place: np.ndarray) -> np.ndarray:
    """The bits that are kept of weights of ``place`` bits."""
    return (1 << np.minimum(place, core.weight_bits)) - 1


def columns_of(rows: np.ndarray) -> int:
    """Columns (rows, columns) of a memory in logic that are not constant; of a few rows, equal columns are one."""
    depth = len(rows)
    if depth <= FEW:
        found = np.unique((rows.astype(np.int64) << np.arange(depth)[:, None]).sum(0))
        return int(((found > 0) & (found < (1 << depth) - 1)).sum())
    return int((rows.any(0) & ~rows.all(0)).sum())
