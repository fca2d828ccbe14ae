"""The counter that every core uses: 0 to count - 1 and again from 0."""

from __future__ import annotations

from amaranth import *

__all__ = ["counter"]


def counter(m: Module, count: int, moves: Value, name: str) -> tuple[Value, Value]:
    """Return a counter of ``count`` states that steps where ``moves``, and whether it is in its last state.

    A counter of one state is a constant of no bits, so that loops of one round leave nothing in the Verilog.
    """
    if count == 1:
        return Const(0, 0), Const(1, 1)
    value, at_end = Signal(range(count), name=name), Signal(name=f"{name}_at_end")
    m.d.comb += at_end.eq(value == count - 1)
    with m.If(moves):
        # A power of two wraps by itself.
        m.d.sync += value.eq(value + 1 if count & (count - 1) == 0 else Mux(at_end, 0, value + 1))
    return value, at_end
