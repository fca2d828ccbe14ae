"""Thresholds over integers of what a chain of float operations and a quantiser decide: found, not computed.

Every operation between a sum and its quantiser rises, or falls, with the sum, and so do roundings. So for every level
there is a smallest sum that reaches it. It is found by halving, with the float operations themselves, so that half a
level, a rounding to even or a rounding of float32 falls where the graph lets it fall.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .numbers import Numbers
from .quantisers import Quantiser

__all__ = ["Stairs", "stairs"]


class Stairs(NamedTuple):
    """``threshold`` (C, K), ascending, of sums that are turned, n to -n, where ``turned`` (C,); values low..low + K.
    ``unsure``, how many thresholds lie where the rounding of floats decides."""

    threshold: np.ndarray
    low: int
    turned: np.ndarray
    unsure: int


def stairs(numbers: Numbers, quantiser: Quantiser, ends: tuple[int, int]) -> Stairs:
    """The thresholds of ``quantiser``, with scales (C, 1), behind ``numbers`` of sums between the ``ends``."""
    both = np.array([ends]).repeat(len(numbers.unit), 0)
    first, last = quantiser.levels(numbers.floats(both)).T
    turned = last < first
    low, high = min(int(np.minimum(first, last).min()), 0), max(int(np.maximum(first, last).max()), 1)
    wanted = np.arange(low + 1, high + 1)[None].repeat(len(turned), 0)
    sign = np.where(turned, -1, 1)[:, None]
    both = np.sort(sign * both)

    def found(kind: type, moved: int) -> np.ndarray:
        """The smallest turned sum with each of the wanted levels; one more than the highest where none has it."""
        under, over = (np.broadcast_to(end[:, None], wanted.shape) for end in (both[:, 0] - 1, both[:, 1] + 1))
        while (over - under).max(initial=0) > 1:
            middle = (under + over) // 2
            x = numbers.floats(sign * middle, kind, moved)
            there = quantiser.levels(x) >= wanted
            over, under = np.where(there, middle, over), np.where(there, under, middle)
        return over

    threshold = found(np.float32, 0)
    sure = [threshold == found(np.float64, moved) for moved in (-1, 0, 1)]
    return Stairs(threshold, low, turned, int((~np.logical_and.reduce(sure)).sum()))
