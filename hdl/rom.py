"""Constants that change with a counter: block-RAM or logic, chosen by one named rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth import *

from .words import shape_for

__all__ = ["UNCHECKED", "memory_style", "packed_rows", "rom_style", "selected"]

UNCHECKED = {"no_rw_check": 1}
"""Attribute of a memory whose readers never use a word that is written in the same cycle: without it Yosys adds
registers and multiplexers around a block RAM, so that such a read gives the old word."""


def rom_style(depth: int, width: int) -> str:
    """Where a read-only memory goes: ``"logic"`` up to 32 words or 1,024 bits, else ``"block"``.

    A LUT4 holds 16 bits of a table, so up to two LUTs and a multiplexer a column logic is the smaller choice; beyond
    that a block RAM costs no LUT at all.
    """
    return "logic" if depth <= 32 or depth * width <= 1024 else "block"


def memory_style(depth: int, width: int) -> str:
    """Where a memory that is written goes: ``"distributed"`` up to 1,024 bits or 16 words, else ``"block"``."""
    return "distributed" if depth <= 16 or depth * width <= 1024 else "block"


def packed_rows(rows: np.ndarray, bits: int) -> list[int]:
    """Pack integers (depth, columns) of ``bits`` bits each into one word a row, the first column lowest."""
    mask = (1 << bits) - 1
    return [sum((int(v) & mask) << (bits * k) for k, v in enumerate(row)) for row in rows]


def selected(m: Module, index: Value, values: Sequence[int], name: str) -> Value:
    """Return ``values[index]`` as logic; a plain constant where all values are equal."""
    values = [int(v) for v in values]
    shape = shape_for(min(values), max(values))
    if len(set(values)) == 1:
        return Const(values[0], shape)
    result = Signal(shape, name=name)
    with m.Switch(index):
        for k, value in enumerate(values[:-1]):
            with m.Case(k):
                m.d.comb += result.eq(value)
        with m.Default():
            m.d.comb += result.eq(values[-1])
    return result
