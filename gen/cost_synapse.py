"""The parts of a synapse array, with the ranges of the weights at every place of its adder trees."""

from __future__ import annotations

import numpy as np

from ..hdl.adders import levels
from ..hdl.rom import rom_style
from ..hdl.synapse import SynapseSpec
from .parts import Parts, bits_of, index_bits

__all__ = ["synapse_parts"]

Range = tuple[np.ndarray, np.ndarray]
"""Lowest and highest values, by output."""


def synapse_parts(core: SynapseSpec, parts: Parts) -> None:
    """Add the parts of ``core``: memory, gates, trees over the inputs and over the bits of one, accumulators."""
    weight = core.weight.reshape(core.groups, core.outputs, core.words, core.inputs)
    lanes = core.terms * core.plane_count
    low, high = np.minimum(weight.min((0, 2)), 0), np.maximum(weight.max((0, 2)), 0)  # (outputs, inputs)
    depth = core.groups * core.words
    _memory(core, parts, weight, depth, int(bits_of(low, high).sum()))
    _inputs(core, parts)
    parts.registers(2 * (2 + core.depth) + 1)
    parts.registers(core.i_format.width + core.inputs * lanes * (2 if core.paired else 1))
    if core.paired:
        pairs = core.inputs // 2
        sums = weight[..., 0 : 2 * pairs : 2] + weight[..., 1 : 2 * pairs : 2]
        sum_low, sum_high = np.minimum(sums.min((0, 2)), 0), np.maximum(sums.max((0, 2)), 0)
        sum_bits = bits_of(sum_low, sum_high)
        parts.registers(bits_of(low, high).sum() + sum_bits.sum())
        parts.adders(sum_bits, "weight sum")
        choices = low.shape[1] - pairs
        ends = [np.zeros((core.outputs, choices), np.int64) for _ in "lh"]
        for end, single, total, pick in ((ends[0], low, sum_low, np.minimum), (ends[1], high, sum_high, np.maximum)):
            end[:, :pairs] = pick(pick(single[:, 0 : 2 * pairs : 2], single[:, 1 : 2 * pairs : 2]), total)
            end[:, pairs:] = single[:, 2 * pairs :]
        low, high = ends
        chosen = bits_of(low, high)
        parts.registers(lanes * chosen.sum())
        parts.logic["choice of weights"] += lanes * chosen[:, :pairs].sum()
        parts.logic["gate"] += lanes * chosen[:, pairs:].sum()
    elif depth > 1:
        parts.logic["gate"] += lanes * bits_of(low, high).sum()
    while low.shape[1] > 1:
        pairs = low.shape[1] // 2
        odd = slice(2 * pairs, None)
        low, high = (
            np.concatenate([x[:, 0 : 2 * pairs : 2] + x[:, 1 : 2 * pairs : 2], x[:, odd]], 1) for x in (low, high)
        )
        bits = bits_of(low, high)
        parts.registers(lanes * bits.sum())
        parts.adders(bits[:, :pairs], "tree adder", lanes)
    total = _join(core, parts, (low[:, 0], high[:, 0]))
    _accumulate(core, parts, total)


def _memory(core: SynapseSpec, parts: Parts, weight: np.ndarray, depth: int, used: int) -> None:
    """The weight memory without columns that are constant, its address and the register behind it."""
    if depth == 1:
        return
    codes = weight & ((1 << core.weight_bits) - 1)
    changing = np.bitwise_or.reduce(codes, (0, 2)) ^ np.bitwise_and.reduce(codes, (0, 2))
    columns = int(np.bitwise_count(changing).sum())
    if depth <= 12:  # equal columns become one
        bits = (codes[..., None] >> np.arange(core.weight_bits)) & 1  # g o w i b
        rows = bits.transpose(0, 2, 1, 3, 4).reshape(depth, -1)
        found = np.unique((rows << np.arange(depth)[:, None]).sum(0))
        columns = int(((found > 0) & (found < (1 << depth) - 1)).sum())
    style = rom_style(depth, core.outputs * core.inputs * core.weight_bits)
    parts.memory(depth, columns, "block" if style == "block" else "logic", written=False)
    parts.registers(columns if core.paired else min(columns, used))
    if core.scans == 1:
        parts.counter(depth)
        return
    parts.registers(2 * index_bits(depth))
    parts.logic["address of scans"] += index_bits(depth)
    parts.counter(core.scans)


def _inputs(core: SynapseSpec, parts: Parts) -> None:
    """What makes the multiplicands of an input word: counts over time, or the choice of a group of time steps."""
    form = core.i_format
    if core.sum_time and form.steps > 1:
        bits = core.plane_count
        if form.bits == 1 and form.steps <= 6:
            parts.logic["count"] += core.inputs * bits * (1 << max(0, form.steps - 4))
        else:
            parts.logic["count of values"] += core.inputs * (form.steps - 1) * bits
    elif core.scans > 1:
        parts.mux(core.scans, core.inputs * core.steps * form.bits)
        parts.counter(core.scans)
        parts.registers(1)


def _join(core: SynapseSpec, parts: Parts, plane: Range) -> Range:
    """The trees over the bits of a multiplicand, as ``hdl.adders.tree`` builds them; return the range of the sum."""
    terms = [
        (*plane, b, core.element[0] < 0 and b == core.plane_count - 1) for b in range(core.plane_count)
    ]  # low, high, shift, negative
    for _ in range(levels(core.plane_count)):
        following = []
        for a, b in zip(terms[0::2], [*terms[1::2], None], strict=False):
            if b is None:
                parts.registers(core.terms * bits_of(a[0], a[1]).sum())
                following.append(a)
                continue
            move = b[2] - a[2]
            ends = (b[0] << move, b[1] << move)
            subtract = b[3] and not a[3]
            low, high = (a[0] - ends[1], a[1] - ends[0]) if subtract else (a[0] + ends[0], a[1] + ends[1])
            bits = bits_of(low, high)
            parts.registers(core.terms * bits.sum())
            parts.adders(np.maximum(bits - move, 1), "join adder", core.terms)
            following.append((low, high, a[2], a[3]))
        terms = following
    low, high, shift, negative = terms[0]
    return (-high << shift, -low << shift) if negative else (low << shift, high << shift)


def _accumulate(core: SynapseSpec, parts: Parts, total: Range) -> None:
    ranges = core.ranges.reshape(core.groups, core.outputs, 2)
    bits = bits_of(ranges[..., 0].min(0), ranges[..., 1].max(0))
    if core.words == 1:
        parts.registers(core.terms * bits.sum())
        return
    parts.registers(2 * core.terms * bits.sum())
    parts.adders(bits, "accumulator", core.terms)
