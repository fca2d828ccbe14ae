"""Which real number a 1 of integer weights stands for: as they are where they are integers, else rounded to bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Rounded", "rounded"]

HALF = 2.0**-24
"""How far a single float may be from its number, as a share of it."""

MOST = 1 << 20
"""Thresholds of weights that are rounded stay at or below it."""

DEAD = 1 << 12
"""What the threshold becomes of a channel without weights, where its bias asks for a fine one."""

CLIPS = np.linspace(1.0, 0.6, 17)
"""Shares of the largest weight that are tried as the largest of a few bits."""


class Rounded(NamedTuple):
    """Integer ``weight`` (Co, n); ``scale`` (Co,), what a 1 of it stands for; ``exact``, whether all of it and all
    constants are integers as they are."""

    weight: np.ndarray
    scale: np.ndarray
    exact: bool


def rounded(weight: np.ndarray, constants: Sequence[np.ndarray], bits: int) -> Rounded:
    """``weight`` (Co, n) as integers of ``bits`` bits, with a scale for each row. ``constants``, each (Co, k), are
    divided by the same scales: the first one is the threshold, or has no columns.

    Weights that are whole multiples of some scale get that one, or a part of it, of which the constants are multiples
    too, where there is any; else each row's scale is as fine as its bits allow, and a part of its threshold.

    >>> rounded(np.array([[0.5, -1.0]]), [np.array([[2.25]])], bits=8)
    Rounded(weight=array([[ 2, -4]]), scale=array([0.25]), exact=True)
    """
    top, least = (1 << (bits - 1)) - 1, -(1 << (bits - 1)) if bits > 1 else -1
    together = np.concatenate([weight, *constants], 1)
    if _whole(together) and least <= weight.min(initial=0) and weight.max(initial=0) <= max(top, 1):
        return Rounded(np.rint(weight).astype(np.int64), np.ones(len(weight)), True)
    scale, exact = np.empty(len(weight)), True
    for row, values in enumerate(weight):
        fixed = np.concatenate([c[row] for c in constants])
        scale[row], fits = _of_row(values, constants[0][row], fixed, max(top, 1))
        exact &= fits
    found = np.rint(weight / scale[:, None]).clip(-max(top, 1), max(top, 1)).astype(np.int64)
    return Rounded(found, scale, exact)


def _of_row(values: np.ndarray, threshold: np.ndarray, fixed: np.ndarray, top: int) -> tuple[float, bool]:
    """The scale of a row, and whether its weights and constants are whole multiples of it."""
    largest = float(np.abs(values).max(initial=0.0))
    if not largest:
        base, parts = float(threshold.max(initial=0.0)) or float(np.abs(fixed).max(initial=0.0)) or 1.0, DEAD
    elif (found := _multiples(values, largest, top)) is not None:
        base, parts = largest / found, top // found
    else:
        whole = float(threshold.max(initial=0.0))
        scale = max(_finest(values, largest, top), whole / MOST)
        return (whole / (whole // scale) if whole >= scale else scale), False
    for m in range(1, parts + 1):
        if _whole(fixed * m / base):
            return base / m, True
    return base / parts, False


def _multiples(values: np.ndarray, largest: float, top: int) -> int | None:
    """The least number up to ``top`` of equal parts that ``largest`` has, of which all ``values`` are multiples."""
    for n in range(1, top + 1):
        x = values * (n / largest)
        if (np.abs(x - np.rint(x)) <= 4 * HALF * n).all():
            return n
    return None


def _finest(values: np.ndarray, largest: float, top: int) -> float:
    """The scale of the least squared error; above 5 bits that of the largest weight."""
    if top > 15:
        return largest / top
    scales = CLIPS * largest / top
    errors = [((np.rint(values / s).clip(-top, top) * s - values) ** 2).sum() for s in scales]
    return float(scales[int(np.argmin(errors))])


def _whole(x: np.ndarray) -> bool:
    """Whether these are whole numbers, up to what single floats round them by."""
    return bool((np.abs(x - np.rint(x)) <= 4 * HALF * np.abs(x) + 1e-12).all())
