"""How gated weights are added: which additions there are, and in which form the weights are in memory.

Every bit of an input has trees of additions of its own. Half of the weights are words of the first one. Of the others
the lowest bit is a third summand of its additions, which costs nothing (``adds.v``), and the rest is a word of a second
tree, again by halves. So there are as many additions as if all weights were words of one tree, but many are narrower.
The last addition of a tree adds the sum of the next one to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...cost.parts import bits_of
from .trees import levels

if TYPE_CHECKING:
    from .spec import SynapseSpec

__all__ = ["Layout", "Plan", "Step", "plan"]


class Step(NamedTuple):
    """An addition on ``level``, 1 the first, of the rows ``left`` and ``right`` and of a bit of a weight, its place and
    its number in ``third``. Where it ``joins`` the sum of the next tree, right and third count twice."""

    level: int
    left: int
    right: int
    third: tuple[int, int] | None
    joins: bool


@dataclass(frozen=True)
class Plan:
    """The additions of weights at ``places``, each in a row. Row ``places`` is a constant, ``places + 1 + k`` the
    result of ``steps[k]``. Attributes: ``shift`` (places,), the tree whose word a weight is, with ``shift`` bits less
    than it has; ``sum``, the row of the sum of all, and ``spare``, the place whose lowest bit is not in it."""

    places: int
    shift: tuple[int, ...]
    steps: tuple[Step, ...]
    sum: int
    spare: int | None


@cache
def plan(places: int, bits: int, constant: bool) -> Plan:
    """The plan for weights of up to ``bits`` bits, whose result is there after ``levels(places)`` levels; ``constant``:
    with the constant, for which there must be room: ``places`` is no power of two."""
    shift, steps = [0] * places, list[Step]()

    def add(level: int, left: int, right: int, third: tuple[int, int] | None, joins: bool = False) -> int:
        steps.append(Step(level, left, right, third, joins))
        return places + len(steps)

    def tree(number: int, first: int, end: int) -> tuple[int, tuple[int, int] | None]:
        count = places - first
        rows = [places] if constant and not number else []
        # The last tree has no other one behind it: of words of one bit nothing is left.
        last = number == bits - 1
        split = (count + len(rows)) // 2 if last and number or count + len(rows) > 2 and not last else 0
        deeper = split and not last
        for k in range(first, places):
            shift[k] = number  # of those that are split in the last tree, too: nothing else is left of them
        rows += range(first, places - split)
        spare = [(place, number) for place in range(places - split, places)]
        level = end - bool(deeper) - levels(len(rows))
        while len(rows) > 1:
            level += 1
            pairs = zip(rows[0::2], rows[1::2], strict=False)
            sums = [add(level, *pair, spare.pop(0) if spare else None) for pair in pairs]
            rows = sums + rows[2 * len(sums) :]
        if deeper:
            inner, third = tree(number + 1, places - split, end - 1)
            rows = [add(end, rows[0], inner, third, True)]
        return rows[0], spare[0] if spare else None

    total, spare = tree(0, 0, levels(places))
    return Plan(places, tuple(shift), tuple(steps), total, spare and spare[0])


@dataclass(frozen=True, eq=False)
class Layout:
    """The weights of an array; those of an output have places in an order of its own.

    Attributes: each (outputs, inputs), ``order``, the lane that a place belongs to, those of narrow weights first;
    ``bits``, as many as the weight has in memory; ``signed``, whether the highest one is a sign; ``flipped``, whether
    that is inverted in memory. ``plan``, the same for all outputs; ``constant``, the value of its constant.
    """

    order: np.ndarray
    bits: np.ndarray
    signed: np.ndarray
    flipped: np.ndarray
    plan: Plan
    constant: int

    @classmethod
    def of(cls, core: SynapseSpec) -> Layout:
        """The layout of ``core``, whose weights are in memory and have several bits."""
        low, high = (core.known.lanes(how, core.outputs, core.inputs) for how in (np.minimum, np.maximum))
        low, high = np.minimum(low, 0), np.maximum(high, 0)
        constant = 0
        if core.addressed:  # one format for all, and a constant that makes the excess of a sum a power of two
            low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
        bits, signed = bits_of(low, high), low < 0
        if core.addressed and signed.any():
            constant = (1 << levels(core.inputs)) - core.inputs << int(bits.max()) - 1
        order = np.argsort(bits, 1, kind="stable")
        bits, signed = np.take_along_axis(bits, order, 1), np.take_along_axis(signed, order, 1)
        found = plan(core.inputs, int(bits.max()), constant > 0)
        bits = np.maximum(bits, np.array(found.shift) + 1)  # the rest of a weight that is split has a bit at least
        flipped = np.zeros_like(signed)
        for step in found.steps:
            if step.left < core.inputs and step.right < core.inputs:
                flipped[:, step.right] = signed[:, step.left] & signed[:, step.right]
        return cls(order, bits, signed, flipped, found, constant)

    @property
    def excess(self) -> np.ndarray:
        """By how much the sum of an output (outputs,) is too large."""
        return (self.signed << (self.bits - 1)).sum(1) + self.constant
