"""The parts of trees of gated additions (``gated_trees.py``): their carry chains, and what waits for its addition."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...cost.parts import Parts, bits_of_positive
from .layout import Layout, Plan
from .memory_parts import changing_bits
from .trees import levels

if TYPE_CHECKING:
    from .spec import SynapseSpec

__all__ = ["Range", "gated_parts", "stored", "tree_places"]

Range = tuple[np.ndarray, np.ndarray]
"""Lowest and highest values, by output."""


class _Level(NamedTuple):
    """The steps of a level that join the sum of another tree, or do not: their rows, whether they have a third summand,
    how many cycles a sum waits for them, and the rows of their results."""

    joins: bool
    left: np.ndarray
    right: np.ndarray
    third: np.ndarray
    waits: np.ndarray
    found: np.ndarray


@cache
def _levels(plan: Plan) -> list[_Level]:
    """The steps, by level."""
    ready = [0] * (plan.places + 1) + [step.level for step in plan.steps]
    found = list[_Level]()
    for key in sorted({(step.level, step.joins) for step in plan.steps}):
        steps = [(plan.places + 1 + k, s) for k, s in enumerate(plan.steps) if (s.level, s.joins) == key]
        waits = [[(s.level - 1 - ready[row]) * (row > plan.places) for row in (s.left, s.right)] for _, s in steps]
        columns = ([s.left for _, s in steps], [s.right for _, s in steps], [s.third is not None for _, s in steps])
        found.append(_Level(key[1], *map(np.array, (*columns, waits, [row for row, _ in steps]))))
    return found


@cache
def _waiting(plan: Plan, joins: int) -> tuple[np.ndarray, np.ndarray]:
    """Cycles (places,) that a word waits for its addition, and cycles (places, bits) that a third summand waits; -1
    where there is none. What is left of the sum of the first bit of the inputs waits for ``joins`` levels more."""
    word = np.full(plan.places, -1)
    third = np.full((plan.places, max(plan.shift) + 1), -1)
    for step in plan.steps:
        for row in (step.left, step.right):
            if row < plan.places:
                word[row] = step.level - 1
        if step.third is not None:
            third[step.third] = step.level - 1
    if plan.spare is not None:
        third[plan.spare, 0] = levels(plan.places) + joins
    return word, third


def _walk(layout: Layout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places of carry chains (outputs,), flip-flops (outputs,), and the largest sum of all (outputs,)."""
    plan = layout.plan
    outputs = len(layout.bits)
    tops = np.zeros((outputs, plan.places + 1 + len(plan.steps)), np.int64)
    tops[:, : plan.places] = (1 << (layout.bits - np.array(plan.shift))) - 1
    tops[:, plan.places] = layout.constant
    width = np.zeros_like(tops)
    width[:, : plan.places + 1] = bits_of_positive(tops[:, : plan.places + 1])
    places, registers = np.zeros(outputs, np.int64), np.zeros(outputs, np.int64)
    for level in _levels(plan):
        left, right = width[:, level.left], width[:, level.right]
        places += (np.maximum(left - level.joins, right) + 1).sum(1)
        registers += (left * level.waits[:, 0] + right * level.waits[:, 1]).sum(1)
        sums = tops[:, level.left] + (tops[:, level.right] + level.third << level.joins)
        tops[:, level.found], width[:, level.found] = sums, (bits := bits_of_positive(sums))
        registers += bits.sum(1)
    return places, registers, tops[:, plan.sum]


def tree_places(core: SynapseSpec) -> int:
    """Places of the carry chains of a bit of a multiplicand in a time step."""
    return int(_walk(core.layout)[0].sum())


def stored(core: SynapseSpec) -> tuple[np.ndarray, np.ndarray]:
    """The bits (outputs, inputs) of the weights that are in memory, by lane, and those of them that are inverted."""
    layout = core.layout
    return _by_lane(layout, (1 << layout.bits) - 1), _by_lane(layout, layout.flipped << (layout.bits - 1))


def _by_lane(layout: Layout, values: np.ndarray) -> np.ndarray:
    found = np.zeros(layout.order.shape, np.int64)
    np.put_along_axis(found, layout.order, np.broadcast_to(values, found.shape), 1)
    return found


def gated_parts(core: SynapseSpec, parts: Parts, block: bool) -> tuple[np.ndarray, Range]:
    """Trees, and the weights (``block``: of a block RAM) and inputs that wait for them. Return the places (outputs,) of
    the carry chains of a time step, which are not counted, and the range of a sum."""
    lanes = core.copies * core.plane_count
    # All but the number of copies is the same for folds of several pixels.
    fold = core.outputs, core.inputs, core.addressed
    places, registers, tops, bits, low = core.known.shared(("trees", *fold), partial(_trees, core))
    parts.registers(lanes * registers)
    key = ("waits", *fold, block, core.plane_count, core.blocks)
    weights, inputs = core.known.shared(key, partial(_waits, core, block))
    parts.registers(weights + core.copies * inputs)
    if core.inputs == 1:
        parts.logic["gate"] += lanes * bits
    return places * core.plane_count, (low, tops + low)


def _trees(core: SynapseSpec) -> tuple[np.ndarray, int, np.ndarray, int, np.ndarray]:
    """Of the trees of a bit of a multiplicand: places of carry chains (outputs,), flip-flops, the largest sums
    (outputs,), bits of the weights, the least sums (outputs,)."""
    layout = core.layout
    places, registers, tops = _walk(layout)
    low = np.zeros_like(tops) - (layout.excess if core.addressed else 0)
    return places, int(registers.sum()), tops, int(layout.bits.sum()), low


def _waits(core: SynapseSpec, block: bool) -> tuple[int, int]:
    """Flip-flops of weights that wait for their additions, and of inputs, for a copy of the trees."""
    weights = inputs = 0
    layout, planes = core.layout, core.plane_count
    plan, joins = layout.plan, levels(planes)
    word, third = _waiting(plan, joins)
    _, flips = stored(core)
    for k in range(1, max(word.max(), third.max()) + 1):
        whole = ((1 << layout.bits) - 1) >> plan.shift << plan.shift
        mask = whole * (word >= k) | ((third >= k) << np.arange(third.shape[1])).sum(1)
        mask = _by_lane(layout, mask)
        weights += int(np.bitwise_count(mask).sum()) if block else changing_bits(core, mask, flips)
    shape = (core.blocks, -1, core.inputs)
    cycles, spare = np.maximum(word, third.max(1)), np.full(plan.places, -1)
    if plan.spare is not None:
        cycles[plan.spare], spare[plan.spare] = max(word[plan.spare], third[plan.spare, 1:].max(initial=-1)), 0
    wait, is_spare = (_by_lane(layout, x).reshape(shape).max(1) for x in (cycles, spare + 1))
    for plane in range(planes):
        after = (plane & -plane).bit_length() - 1 if plane else joins
        left = np.where(is_spare, levels(plan.places) + after, 0)
        inputs += int(np.maximum(wait, left).clip(0).sum())
    # The gates of the signs that are inverted in memory.
    inverse = _by_lane(layout, layout.flipped * (word + 1)).reshape(shape).max(1)
    return weights, inputs + planes * int(inverse.sum())
