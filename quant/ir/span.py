"""What the values of a node's result can be, channel by channel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Span", "between"]


class Span(NamedTuple):
    """From ``low`` to ``high``, (S, C) each: S is T where it changes over time, else 1; currents are multiples of
    ``step`` (C,) away from ``low``."""

    low: np.ndarray
    high: np.ndarray
    step: np.ndarray | None = None

    @property
    def always(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest of all time steps (C,)."""
        return self.low.min(0), self.high.max(0)


def between(low: np.ndarray, high: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Whether ``low``..``high`` and ``start``..``end`` have a number in common, channel by channel."""
    return (low <= end) & (high >= start)
