"""The counters that every core uses: 0 to count - 1 and again from 0, and what comes less what goes."""

from __future__ import annotations

from amaranth import *

__all__ = ["balance", "counter", "row_counter"]


def counter(m: Module, count: int, moves: Value, name: str, *, early: bool = False) -> tuple[Value, Value]:
    """Return a counter of ``count`` states that steps where ``moves``, and whether it is in its last state; ``early``:
    that is known a cycle ahead and comes out of a register.

    A counter of one state is a constant of no bits, so that loops of one round leave nothing in the Verilog.
    """
    if count == 1:
        return Const(0, 0), Const(1, 1)
    value, at_end = Signal(range(count), name=name), Signal(name=f"{name}_at_end")
    if not early or count == 2:
        m.d.comb += at_end.eq(value == count - 1)
    with m.If(moves):
        if early and count > 2:
            m.d.sync += at_end.eq(value == count - 2)
        # A power of two wraps by itself.
        m.d.sync += value.eq(value + 1 if count & (count - 1) == 0 else Mux(at_end, 0, value + 1))
    return value, at_end


def row_counter(m: Module, rows: int, scans: int, moves: Value, last: Value, name: str) -> Value:
    """Return the index of the weight row that a walk is at; it steps where ``moves``, through all ``rows``.

    ``last`` marks the step that ends a scan. A group of outputs is scanned ``scans`` times, each time from its first
    row on.
    """
    if scans == 1:
        return counter(m, rows, moves, name)[0]
    row, first, following = (Signal(range(rows), name=f"{name}{n}") for n in ("", "_first", "_following"))
    _, last_scan = counter(m, scans, moves & last, f"{name}_scan")
    m.d.comb += following.eq(Mux(row == rows - 1, 0, row + 1))
    with m.If(moves):
        m.d.sync += row.eq(following)
        with m.If(last & last_scan):
            m.d.sync += first.eq(following)
        with m.Elif(last):
            m.d.sync += row.eq(first)
    return row


def balance(m: Module, value: Signal, more: Value, less: Value) -> None:
    """In every cycle add ``more``, of one bit, to ``value`` and take ``less`` off; where that is one bit too, it is one
    addition and not two."""
    if len(less) == 1 and len(value) > 3:
        with m.If(more ^ less):
            m.d.sync += value.eq(value + Cat(Const(1, 1), less.replicate(len(value) - 1)))
        return
    m.d.sync += value.eq(value + more - less)
