"""Where a memory goes, block RAM or logic, by its size: one named rule each for constants and for what is written."""

from __future__ import annotations

from typing import Literal

__all__ = ["BLOCK_RAM", "DEEPEST", "memory_style", "rom_cycles", "rom_style"]

DEEPEST = 2048
"""Words of the deepest ROM that is block RAMs alone when it is read in two cycles."""

BLOCK_RAM = 16384
"""Words of the deepest memory that is block RAMs side by side: of 1 bit."""


def rom_style(depth: int, width: int) -> Literal["logic", "block"]:
    """Where a read-only memory goes: ``"logic"`` up to 32 words or 1,024 bits, else ``"block"``.

    A LUT4 holds 16 bits of a table, so up to two LUTs and a multiplexer a column logic is the smaller choice; beyond
    that a block RAM costs no LUT at all.
    """
    return "logic" if depth <= 32 or depth * width <= 1024 else "block"


def memory_style(depth: int, width: int) -> Literal["distributed", "block"]:
    """Where a memory that is written goes: ``"distributed"`` up to 1,024 bits or 16 words, else ``"block"``."""
    return "distributed" if depth <= 16 or depth * width <= 1024 else "block"


def rom_cycles(depth: int) -> Literal[2, 3]:
    """Cycles in which a read-only memory of many bits is best read: one more where several block RAMs make up a bit."""
    return 2 if depth <= DEEPEST else 3
