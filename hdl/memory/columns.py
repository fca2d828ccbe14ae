"""Constants that change with a counter, out of flip-flops: one for every bit that is not the same in all of them, and
one for bits that are equal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from amaranth import *

from ..streams.words import bits_for
from .rom import selected

__all__ = ["AHEAD", "Columns", "count_columns"]

AHEAD = 8
"""States of a counter up to which a constant is looked up when it is needed: a LUT a bit; of more it is there ahead."""

Column = tuple[int, ...]
"""One bit of the constants."""


class Columns:
    """Constants that ``index`` chooses. With ``moves`` they are looked up ahead: ``index`` goes from one state to the
    next where ``moves``, and back to the first at the end. Without it they come a cycle later."""

    def __init__(self, m: Module, index: Value, moves: Value | None = None) -> None:
        self._m, self._index, self._moves = m, index, moves
        self._found: dict[Column, Signal] = {}

    def value(self, values: Sequence[int], name: str, bits: int | None = None) -> Value:
        """The one of ``values`` that is chosen; of ``bits`` and no sign where these are given."""
        signed = bits is None and min(values) < 0
        found = Cat(self._bit(c, f"{name}_{k}") for k, c in enumerate(_split(values, bits)))
        return found.as_signed() if signed else found

    def later(self) -> Columns:
        """The same constants, a cycle after these."""
        return _Later(self._m, self)

    def _bit(self, column: Column, name: str) -> Value:
        if len(set(column)) == 1:
            return Const(column[0], 1)
        if column not in self._found:
            self._found[column] = self._register(column, name)
        return self._found[column]

    def _register(self, column: Column, name: str) -> Signal:
        m, found = self._m, Signal(init=0 if self._moves is None else column[0], name=name)
        if self._moves is None:
            m.d.sync += found.eq(selected(m, self._index, column, f"{name}_now"))
        else:
            with m.If(self._moves):
                m.d.sync += found.eq(selected(m, self._index, [*column[1:], column[0]], f"{name}_next"))
        return found


class _Later(Columns):
    def __init__(self, m: Module, before: Columns) -> None:
        super().__init__(m, Const(0, 0))
        self._before = before

    def _register(self, column: Column, name: str) -> Signal:
        found = Signal(name=name)
        self._m.d.sync += found.eq(self._before._bit(column, f"{name}_b"))
        return found


def count_columns(several: Iterable[Sequence[int]]) -> int:
    """How many bits :class:`Columns` keeps for ``several`` constants: what a register is there for."""
    lengths: dict[int, list[Sequence[int]]] = {}
    for values in several:
        lengths.setdefault(len(values), []).append(values)
    return sum(_count(np.array(alike, np.int64)) for alike in lengths.values())


def _count(values: np.ndarray) -> int:
    """The bits of ``values`` (constants, states) that are not the same in all states, equal ones once. Bits above those
    of a constant are its sign again, or 0."""
    width = max(bits_for(int(values.min()), int(values.max()))[0], 1)
    bits = (values[:, None] >> np.arange(width)[:, None] & 1).astype(np.uint8).reshape(-1, values.shape[1])
    packed = np.packbits(bits[bits.min(1) != bits.max(1)], axis=1)
    return len(np.unique(packed.view(f"V{packed.shape[1]}"))) if len(packed) else 0


def _split(values: Sequence[int], bits: int | None) -> list[Column]:
    width = bits_for(min(values), max(values))[0] if bits is None else bits
    return [tuple(int(value) >> bit & 1 for value in values) for bit in range(width)]
