"""The parts of a synapse array with weights of one bit (``bipolar.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...cost.parts import Parts, bits_of
from ...streams.words import bits_for
from .trees import CELLS, TABLE, CountTree, count_levels, count_tree, levels

if TYPE_CHECKING:
    from .spec import SynapseSpec

__all__ = ["chained_counts", "count_parts", "waiting", "word_parts"]


def _tree(core: SynapseSpec) -> CountTree | None:
    """The tree of counts of an output, None where there is none."""
    if core.inverts:
        return count_tree(core.inputs, count_levels(core.inputs)) if core.inputs > 1 else None
    return count_tree(core.inputs - 1, levels(core.inputs) - 1) if core.inputs > 2 else None


def waiting(core: SynapseSpec) -> np.ndarray:
    """Cycles (inputs,) that each input and its weight wait before they are counted."""
    cycles = np.zeros(core.inputs, int)
    if (tree := _tree(core)) is not None:
        for level in range(1, tree.level + 1):
            for node in tree.on(level):
                cycles[list(node.inputs)] = level - 1
        if not core.inverts:
            cycles[-1] = tree.level
    return cycles


def _passed(inputs: int) -> int:
    """Registers of the last input among the sums of all that are those in which it waits itself: where it has a table
    of its own, which is the input, until another is added to it."""
    if inputs % TABLE != 1:
        return 0
    found, terms = 1, -(-inputs // TABLE)
    while terms % 2:
        found, terms = found + 1, terms // 2 + 1
    return found


def count_parts(core: SynapseSpec, parts: Parts) -> None:
    """Trees of counts, and a subtraction behind each of inputs that are chosen; memory, waiting weights and the sums of
    all inputs not included."""
    lanes, inputs = core.copies * core.plane_count, core.inputs
    places = core.outputs * lanes
    parts.registers(core.blocks * lanes * int(waiting(core).sum()))
    alike = 0 if core.inverts else core.outputs - core.blocks  # lowest bits that no weight changes, but one a block
    parts.registers(-alike * core.copies * levels(core.plane_count))
    if (tree := _tree(core)) is None:
        parts.registers(3 * places - alike * lanes if inputs == 2 else 0)
        parts.logic["gate"] += places * (3 if inputs == 2 else 1)
        return
    for level in range(1, tree.level + 1):
        added: dict[int, int] = {}
        for node in tree.on(level):
            parts.registers(places * node.top.bit_length())
            if len(node.parts) + len(node.inputs) > 1:
                added[node.width] = added.get(node.width, 0) + 1
            elif node.inputs:
                parts.logic["gate"] += places
        for width, count in added.items():
            chained_counts(parts, width, places * count)
    if not core.inverts:
        width, _ = bits_for(-inputs // 2, inputs // 2)
        chained_counts(parts, width, places)
        parts.registers(places * width + core.blocks * lanes * (1 - _passed(inputs)))


def word_parts(core: SynapseSpec, parts: Parts) -> None:
    """The sums of all inputs, and a subtraction behind each sum of chosen ones, whose trees are not included."""
    low, high = core.element
    bits, signed = bits_for(low, high)
    most = core.inputs * max(high, -low)
    width, _ = bits_for(-most, most)
    places = core.outputs * core.copies
    parts.registers(places * width)
    parts.adders(np.array(width), "tree adder", places)
    if core.inputs == 1:
        parts.logic["gate"] += places * bits
        return
    excess = 2 * ((core.inputs // 2 << bits) + (core.inputs % 2 << (bits - 1))) if signed else 0
    lows, highs = np.full((1, core.inputs), low), np.full((1, core.inputs), high)
    times = core.blocks * core.copies
    if excess:
        lows[:, 0] += excess
        highs[:, 0] += excess
        parts.adders(bits_of(lows[:, :1], highs[:, :1]), "tree adder", times)
        parts.logic["gate"] += core.outputs * (core.inputs // 2)
    while lows.shape[1] > 1:
        pairs = lows.shape[1] // 2
        lows, highs = (
            np.concatenate([x[:, 0 : 2 * pairs : 2] + x[:, 1 : 2 * pairs : 2], x[:, 2 * pairs :]], 1)
            for x in (lows, highs)
        )
        wide = bits_of(lows, highs)
        parts.registers(times * wide.sum())
        parts.adders(wide[:, :pairs], "tree adder", times)


def chained_counts(parts: Parts, width: int, count: int) -> None:
    """``count`` additions of ``width`` bits and a bit more, in carry chains of :data:`CELLS` at most; their cells are
    instances, so a part is a LUT4-equivalent."""
    most = max(1, (2 * CELLS - 1) // (width + 1))
    full, rest = divmod(count, most)
    cells = full * (most * (width + 1) // 2 + 1) + ((rest * (width + 1) // 2 + 1) if rest else 0)
    parts.logic["count chain"] += 2 * cells
