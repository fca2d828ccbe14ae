"""The parts of a synapse array, with the ranges of the weights at every place of its adder trees."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...cost.parts import Parts, bits_of, bits_of_positive
from ...memory.style import rom_style
from .bipolar_parts import chained_counts, count_parts, waiting, word_parts
from .gated_parts import Range, gated_parts, stored
from .memory_parts import changing_bits, columns_of, memory_parts
from .products import offset, products_parts
from .trees import PLACES, TABLE, levels

if TYPE_CHECKING:
    from .spec import SynapseSpec

__all__ = ["chained", "sums_parts", "synapse_parts", "table_bits"]

def synapse_parts(core: SynapseSpec) -> Parts:
    """The parts of ``core``: memory, trees over the inputs and over the bits of one, accumulators."""
    parts = Parts()
    _inputs(core, parts)
    parts.registers(2 * (core.lookup + core.depth) + 1)
    multiplicands = core.i_format.lanes * core.terms * core.plane_count
    parts.registers((core.lookup - 1) * core.i_format.width + multiplicands)
    if core.multiplies:
        memory_parts(core, parts, core.outputs * core.inputs * core.weight_bits, partial(_moved_columns, core))
        products_parts(core, parts)
        _accumulate(core, parts, None)
        return parts
    if core.gated:
        places, total = _additions(core, parts)
    elif core.constant:
        places, total = None, _tables(core, parts, core.weight[:, 0].astype(np.int64))
    else:
        places, total = None, _bipolar(core, parts)
    places = _join(core, parts, total, places)
    _accumulate(core, parts, places)
    return parts


def _moved_columns(core: SynapseSpec) -> int:
    """Bits of the weights with their offset that are not the same in all words."""
    moved = (core.weight.astype(np.int64) + offset(core)).reshape(core.groups, core.outputs, core.words, core.inputs)
    rows = moved.transpose(0, 2, 1, 3).reshape(core.groups * core.words, -1)
    return columns_of((rows[..., None] >> np.arange(core.weight_bits) & 1).reshape(len(rows), -1))


def chained(parts: Parts, places: np.ndarray, times: int = 1) -> None:
    """``times`` the additions that take so many ``places`` (n,) of carry chains, those of each with chains of their
    own."""
    chains = -(-places // PLACES)
    parts.logic["chain"] += times * int((places + chains + (places + chains) % 2).sum())


def _additions(core: SynapseSpec, parts: Parts) -> tuple[np.ndarray, Range]:
    """Memory, and trees of gated additions of weights; return the places (outputs,) of the carry chains of a time step,
    and the range of a sum."""
    fold = core.outputs, core.inputs, core.addressed
    width = core.known.shared(("width", *fold), lambda: int(core.layout.bits.sum()))
    memory_parts(core, parts, width, lambda: core.known.shared(("changing", *fold), partial(_changing, core)))
    return gated_parts(core, parts, rom_style(core.groups * core.words, width) == "block" and not core.logic)


def _changing(core: SynapseSpec) -> int:
    return changing_bits(core, *stored(core))


def sums_parts(parts: Parts, tops: np.ndarray, lanes: int) -> np.ndarray:
    """Trees of additions without negative numbers, of which ``tops`` (outputs, n) are the largest; those of the
    sums."""
    width = bits_of_positive(tops)
    while tops.shape[1] > 1:
        pairs = tops.shape[1] // 2
        chained(parts, (np.maximum(width[:, 0 : 2 * pairs : 2], width[:, 1 : 2 * pairs : 2]) + 1).sum(1), lanes)
        tops = np.concatenate([tops[:, 0 : 2 * pairs : 2] + tops[:, 1 : 2 * pairs : 2], tops[:, 2 * pairs :]], 1)
        width = bits_of_positive(tops)
        parts.registers(lanes * width.sum())
    return tops[:, 0]


def _bipolar(core: SynapseSpec, parts: Parts) -> Range:
    """Memory of a bit a weight, and trees of the inputs that it chooses or inverts; return the range of a sum."""
    weight = core.weight.reshape(core.groups, core.outputs, core.words, core.inputs)
    chosen = weight < 0 if core.inverts else weight > 0
    rows = chosen.transpose(0, 2, 1, 3).reshape(core.groups * core.words, -1)
    memory_parts(core, parts, core.outputs * core.inputs, partial(columns_of, rows))
    most, counted = np.full(core.outputs, core.inputs), core.tree_count == core.plane_count
    if counted:
        _waiting(core, parts, chosen)
        count_parts(core, parts)
        if core.inputs > 2 and not core.inverts:
            _tables(core, parts, np.full((core.blocks, core.inputs), -1))
    else:
        most *= (1 << core.plane_count) - 1 if core.inverts else max(map(abs, core.element))
        if core.inputs > 1:
            _trees(core, parts)
        if not core.inverts:
            word_parts(core, parts)
    return np.zeros_like(most) if core.inverts else -most, most


def _waiting(core: SynapseSpec, parts: Parts, chosen: np.ndarray) -> None:
    """The registers of weights, ``chosen`` (groups, outputs, words, inputs), that wait for their count; in logic equal
    ones are one."""
    cycles, depth = waiting(core), core.groups * core.words
    block = rom_style(depth, core.outputs * core.inputs) == "block" and not core.logic
    for k in range(1, int(cycles.max(initial=0)) + 1):
        late = chosen[..., cycles >= k].transpose(0, 2, 1, 3).reshape(depth, -1)
        parts.registers(late.shape[1] if block else columns_of(late))


def _trees(core: SynapseSpec, parts: Parts) -> None:
    """Sums of inputs that the bits of weights let through, or invert."""
    bits, pairs, odd = core.plane_count, core.inputs // 2, core.inputs % 2
    if core.inverts:
        for _ in range(core.outputs * core.copies):
            chained_counts(parts, bits, pairs)
    else:
        chained(parts, np.full(core.outputs, pairs * (bits + 1)), core.copies)
    parts.logic["gate"] += core.copies * core.outputs * odd * bits
    tops = np.full((core.outputs, pairs + odd), (2 << bits) - 2)
    tops[:, pairs:] = (1 << bits) - 1
    parts.registers(core.copies * bits_of_positive(tops).sum())
    sums_parts(parts, tops, core.copies)


def table_bits(weight: np.ndarray) -> int:
    """Bits of the tables of all sums of four constant weights (outputs, inputs)."""
    return int(bits_of(*_quarters(weight)).sum())


def _quarters(weight: np.ndarray) -> Range:
    """The least and the largest sum of every four of ``weight`` (outputs, inputs)."""
    padded = np.pad(weight, ((0, 0), (0, -weight.shape[1] % TABLE))).reshape(len(weight), -1, TABLE)
    return np.minimum(padded, 0).sum(2), np.maximum(padded, 0).sum(2)


def _tables(core: SynapseSpec, parts: Parts, weight: np.ndarray) -> Range:
    """Constant weights (outputs, inputs): tables of sums of four, and plain trees."""
    lanes = core.copies * core.plane_count
    low, high = _quarters(weight)
    bits = bits_of(low, high)
    parts.registers(lanes * bits.sum())
    parts.logic["weight table"] += lanes * int(bits.sum())
    while low.shape[1] > 1:
        pairs, odd = low.shape[1] // 2, slice(low.shape[1] // 2 * 2, None)
        low, high = (
            np.concatenate([x[:, 0 : 2 * pairs : 2] + x[:, 1 : 2 * pairs : 2], x[:, odd]], 1) for x in (low, high)
        )
        bits = bits_of(low, high)
        parts.registers(lanes * bits.sum())
        parts.adders(bits[:, :pairs], "tree adder", lanes)
    return low[:, 0], high[:, 0]


def _inputs(core: SynapseSpec, parts: Parts) -> None:
    """What makes the multiplicands of an input word: counts over time, or the choice of a group of time steps."""
    form = core.i_format
    if core.sum_time and form.steps > 1:
        bits = core.plane_count
        if form.bits == 1 and form.steps <= 6:
            parts.logic["count"] += form.lanes * bits * (1 << max(0, form.steps - 4))
        else:
            parts.logic["count of values"] += form.lanes * (form.steps - 1) * bits
    elif core.scans > 1:
        parts.mux(core.scans, form.lanes * core.steps * form.bits)
        parts.counter(core.scans)


def _join(core: SynapseSpec, parts: Parts, plane: Range, places: np.ndarray | None) -> np.ndarray | None:
    """The trees over the bits of a multiplicand, as ``hdl.cores.synapse.adders.tree`` builds them; return ``places``,
    those of carry chains before it, with its own."""
    spare = int(places is not None and core.layout.plan.spare is not None)
    terms = [
        (*plane, b, core.element[0] < 0 and b == core.plane_count - 1) for b in range(core.plane_count)
    ][: core.tree_count]  # low, high, shift, negative
    for _ in range(levels(core.tree_count)):
        following = []
        for a, b in zip(terms[0::2], [*terms[1::2], None], strict=False):
            if b is None:
                parts.registers(core.copies * bits_of(a[0], a[1]).sum())
                following.append(a)
                continue
            move = b[2] - a[2]
            ends = (b[0] << move, b[1] + spare << move)
            subtract = b[3] and not a[3]
            low, high = (a[0] - ends[1], a[1] - ends[0]) if subtract else (a[0] + ends[0], a[1] + ends[1])
            bits = bits_of(low, high)
            parts.registers(core.copies * bits.sum())
            if places is None or subtract or plane[0].any():
                parts.adders(np.maximum(bits - move, 1), "join adder", core.copies)
            else:
                places = places + np.maximum(bits_of(a[0], a[1]) - move, bits_of(b[0], b[1])) + 1
            following.append((low, high, a[2], a[3]))
        terms = following
    return places


def _accumulate(core: SynapseSpec, parts: Parts, places: np.ndarray | None) -> None:
    """The accumulators, and the carry chains of all before them: ``places``."""
    ranges = core.ranges.reshape(core.groups, core.outputs, 2)
    bits = bits_of(ranges[..., 0].min(0), ranges[..., 1].max(0))
    parts.registers((1 if core.words == 1 else 2) * core.copies * bits.sum())
    if places is not None and core.words > 1 and core.element[0] >= 0 and not core.addressed:
        places = places + bits
    elif core.words > 1 or not core.constant:  # a single word still needs its offset taken off
        parts.adders(bits, "accumulator", core.copies)
    if places is not None:
        chained(parts, places, core.copies)
