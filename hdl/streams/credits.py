"""Credits: a count of results that may be on their way or waiting, so that what comes behind never stalls."""

from __future__ import annotations

from amaranth import *

__all__ = ["credits"]


def credits(m: Module, count: int, spent: Value, returned: Value) -> Value:
    """Whether one of ``count`` credits is left; ``spent`` and ``returned`` are high in a cycle in which one goes or
    comes back."""
    waiting = Signal(range(count + 1), name="waiting")
    m.d.sync += waiting.eq(waiting + spent - returned)
    return waiting != count
