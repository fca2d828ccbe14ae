"""Sums of gated weights, written so that synthesis keeps them small.

A register after every level of a tree stops Yosys from merging the levels into one multiply-accumulate cell, which is
larger on ECP5. Widths come from intervals, never from guesses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from amaranth import *

from ...streams.words import shape_for

__all__ = ["Addend", "Later", "Plus", "register", "tree"]


@dataclass(frozen=True)
class Addend:
    """A summand: ``value`` lies in ``low``..``high`` and counts 2**``shift`` times, subtracted where ``negative``.
    ``third``: so many cycles later a bit that is still to be added to the value, and its gate; the next addition of the
    value has a place for it."""

    value: Value
    low: int
    high: int
    shift: int = 0
    negative: bool = False
    third: Callable[[int], tuple[Value, Value]] | None = None

    def added_to(self, value: Value, *, subtract: bool = False) -> Value:
        """``value`` plus this one, or minus it, the shift left out."""
        if self.third is None:
            return value - self.value if subtract else value + self.value
        # One place more, below the lowest.
        a, b = _above(Const(not subtract, 1), value), _above(Cat(self.third(0)).all(), self.value)
        return (a - b if subtract else a + b) >> 1


Plus = Callable[[Value, Addend, str], Value]
"""What adds a summand to a value, neither below 0, by its name."""


def _above(bit: Value, value: Value) -> Value:
    joined = Cat(bit, value)
    return joined.as_signed() if value.shape().signed else joined


class Later:
    """Signals some cycles later, one register a cycle for all who want them."""

    def __init__(self, m: Module) -> None:
        self._m, self._made = m, dict[tuple[int | str, ...], Value]()

    def __call__(self, value: Value, cycles: int, *name: int | str) -> Value:
        """``value``, which has this ``name`` and no other value has, so many ``cycles`` later."""
        for k in range(1, cycles + 1):
            if (key := (*name, k)) not in self._made:
                later = Signal(len(value), name="_".join(map(str, ("later", *key))))
                self._m.d.sync += later.eq(value)
                self._made[key] = later
            value = self._made[key]
        return value


def register(m: Module, term: Addend, name: str) -> Addend:
    """Return the term one cycle later."""
    later = Signal(shape_for(term.low, term.high), name=name)
    m.d.sync += later.eq(term.value)
    return replace(term, value=later, third=_later(term))


def _later(term: Addend) -> Callable[[int], tuple[Value, Value]] | None:
    third = term.third
    return None if third is None else lambda cycles: third(cycles + 1)


def _pair(m: Module, a: Addend, b: Addend, name: str, plus: Plus | None = None) -> Addend:
    if (a.shift, a.negative) > (b.shift, b.negative):
        a, b = b, a
    if a.negative and not b.negative and a.shift < b.shift:
        # -a + (b << k): negate the whole, so that the low bits of a still pass through unchanged.
        total = _pair(m, replace(a, negative=False), replace(b, negative=True), name)
        return replace(total, negative=True)
    flip = a.negative  # both are subtracted: add them and subtract the sum
    move = b.shift - a.shift
    ends = (b.low << move, b.high + (b.third is not None) << move)
    subtract = b.negative and not a.negative
    low, high = (a.low - ends[1], a.high - ends[0]) if subtract else (a.low + ends[0], a.high + ends[1])
    total = Signal(shape_for(low, high), name=name)
    if plus is not None and not subtract and a.low == b.low == 0:
        upper = plus(a.value[move:], b, f"{name}_sum")
    else:
        upper = b.added_to(a.value >> move, subtract=subtract)
    if move:  # the sum may be wider than its parts, so the sign must not get lost
        upper = _above(a.value[:move], upper)
    m.d.sync += total.eq(upper)
    return Addend(total, low, high, a.shift, flip, _later(a))


def tree(m: Module, terms: list[Addend], depth: int, name: str, plus: Plus | None = None) -> Addend:
    """Sum ``terms`` in ``depth`` registered levels (at least ``levels(len(terms))``); return the sum. ``plus`` makes
    the additions of values that have no sign."""
    if not terms:
        return Addend(Const(0, 1), 0, 0)
    for level in range(depth):
        pairs = [terms[k : k + 2] for k in range(0, len(terms), 2)]
        terms = [
            _pair(m, *p, f"{name}_l{level}_{k}", plus) if len(p) == 2 else register(m, p[0], f"{name}_l{level}_{k}")
            for k, p in enumerate(pairs)
        ]
    assert len(terms) == 1
    return terms[0]
