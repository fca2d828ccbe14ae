"""Sums of gated weights, written so that synthesis keeps them small.

A register after every level of a tree stops Yosys from merging the levels into one multiply-accumulate cell, which is
larger on ECP5. Widths come from intervals, never from guesses.
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import *

from ...streams.words import shape_for

__all__ = ["Addend", "register", "tree"]


@dataclass(frozen=True)
class Addend:
    """A summand: ``value`` lies in ``low``..``high`` and counts 2**``shift`` times, subtracted where ``negative``."""

    value: Value
    low: int
    high: int
    shift: int = 0
    negative: bool = False


def register(m: Module, term: Addend, name: str) -> Addend:
    """Return the term one cycle later."""
    later = Signal(shape_for(term.low, term.high), name=name)
    m.d.sync += later.eq(term.value)
    return Addend(later, term.low, term.high, term.shift, term.negative)


def _pair(m: Module, a: Addend, b: Addend, name: str) -> Addend:
    if (a.shift, a.negative) > (b.shift, b.negative):
        a, b = b, a
    if a.negative and not b.negative and a.shift < b.shift:
        # -a + (b << k): negate the whole, so that the low bits of a still pass through unchanged.
        total = _pair(m, Addend(a.value, a.low, a.high, a.shift), Addend(b.value, b.low, b.high, b.shift, True), name)
        return Addend(total.value, total.low, total.high, total.shift, True)
    flip = a.negative  # both are subtracted: add them and subtract the sum
    move = b.shift - a.shift
    ends = (b.low << move, b.high << move)
    subtract = b.negative and not a.negative
    low, high = (a.low - ends[1], a.high - ends[0]) if subtract else (a.low + ends[0], a.high + ends[1])
    total = Signal(shape_for(low, high), name=name)
    upper = (a.value >> move) - b.value if subtract else (a.value >> move) + b.value
    if move:  # the sum may be wider than its parts, so the sign must not get lost
        joined = Cat(a.value[:move], upper)
        upper = joined.as_signed() if upper.shape().signed else joined
    m.d.sync += total.eq(upper)
    return Addend(total, low, high, a.shift, flip)


def tree(m: Module, terms: list[Addend], depth: int, name: str) -> Addend:
    """Sum ``terms`` in ``depth`` registered levels (at least ``levels(len(terms))``); return the sum."""
    if not terms:
        return Addend(Const(0, 1), 0, 0)
    for level in range(depth):
        pairs = [terms[k : k + 2] for k in range(0, len(terms), 2)]
        terms = [
            _pair(m, *p, f"{name}_l{level}_{k}") if len(p) == 2 else register(m, p[0], f"{name}_l{level}_{k}")
            for k, p in enumerate(pairs)
        ]
    assert len(terms) == 1
    return terms[0]
