"""The shape of adder trees: how many levels they have, how many weights a table takes, how many additions a chain."""

from __future__ import annotations

__all__ = ["CHAIN", "TABLE", "levels"]

CHAIN = 4
"""Additions in one carry chain. More waste less of its ends, but make it longer than a row of slices is wide."""

TABLE = 4
"""Constant weights in a table: as many as a LUT4 has inputs."""


def levels(count: int) -> int:
    """Levels of a balanced tree over ``count`` terms."""
    return max(0, (count - 1).bit_length())
