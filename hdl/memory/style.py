"""Where a memory goes, block RAM or logic, by its size: one named rule each for constants and for what is written."""

from __future__ import annotations

from typing import Literal

__all__ = ["DEEPEST", "memory_style", "rom_style"]

DEEPEST = 2048
"""Words of the deepest block RAM that is instantiated, with 9 bits each."""


def rom_style(depth: int, width: int) -> Literal["logic", "block"]:
    """Where a read-only memory goes: ``"logic"`` up to 32 words or 1,024 bits, else ``"block"``.

    A LUT4 holds 16 bits of a table, so up to two LUTs and a multiplexer a column logic is the smaller choice; beyond
    that a block RAM costs no LUT at all.
    """
    return "logic" if depth <= 32 or depth * width <= 1024 else "block"


def memory_style(depth: int, width: int) -> Literal["distributed", "block"]:
    """Where a memory that is written goes: ``"distributed"`` up to 1,024 bits or 16 words, else ``"block"``."""
    return "distributed" if depth <= 16 or depth * width <= 1024 else "block"
