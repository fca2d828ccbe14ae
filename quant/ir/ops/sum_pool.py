"""The sum over windows."""

from __future__ import annotations

from dataclasses import dataclass

from .pool import Pool

__all__ = ["SumPool"]


@dataclass(frozen=True, kw_only=True, eq=False)
class SumPool(Pool):
    """Sum over the window, every time step: average pooling with its division left to the next threshold."""
