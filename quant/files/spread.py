"""Some of many, from all over them and in an order of no meaning: the same ones every time, on every machine."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["spread"]

GOLDEN = (math.sqrt(5) - 1) / 2
"""Steps of this share of a circle come near no earlier place for long."""


def spread(total: int, count: int | None) -> np.ndarray:
    """``count`` different numbers below ``total`` (all, in their order, for None or as many), spread evenly.

    Images are often sorted by class, or go round the classes: the first ones, or every tenth, may be of one class.
    Fewer of them are the first ones of more.
    """
    if count is None or count >= total:
        return np.arange(total)
    places = np.arange(total) * GOLDEN % 1
    return places.argsort().argsort()[:count]
