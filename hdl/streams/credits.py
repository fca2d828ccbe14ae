"""Credits: a count of results that may be on their way or waiting, so that what comes behind never stalls."""

from __future__ import annotations

from amaranth import *

from .counter import balance

__all__ = ["credits"]


def credits(m: Module, count: int, spent: Value, returned: Value) -> Value:
    """Whether one of ``count`` credits is left; ``spent`` and ``returned`` are high in a cycle in which one goes or
    comes back."""
    none = 1 << (count - 1).bit_length()  # the highest bit says that none is left
    waiting = Signal(range(none + 1), init=none - count, name="waiting")
    balance(m, waiting, spent, returned)
    return ~waiting[-1]
