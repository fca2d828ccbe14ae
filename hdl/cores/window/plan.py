"""What the output row of a walk needs of the ring, out of registers.

A row's figures are looked up while the row before it is walked over, so that what is decided in a cycle begins at
flip-flops and not at a table.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import *

from ...memory.rom import selected
from ...streams.counter import counter
from ...streams.words import bits_for, shape_for
from .spec import WindowSpec

__all__ = ["Rows"]


class Rows:
    """The plan of the output row of ``spec`` that a walk is in, which ends where ``moves``.

    Attributes: ``inside``, a bit for each kernel row, whether it lies in the frame; ``freed`` and ``offset``, as in
    ``RowPlan``; ``over``, rows of the frame that its first kernel row is above the first one that is not freed.
    """

    def __init__(self, m: Module, spec: WindowSpec, moves: Value) -> None:
        self._m, self._moves, plan = m, moves, spec.row_plan
        self._bits: dict[tuple[int, ...], Signal] = {}
        self._y, _ = counter(m, len(plan), moves, "y")
        self._wait = [row.wait for row in plan]
        further = [b.wait - a.wait + a.freed for a, b in zip(plan, [*plan[1:], plan[0]], strict=True)]
        self._further, self._rows = self._ahead(further, "further"), spec.rows
        self.inside = self._ahead([(1 << row.inside) - 1 << row.above for row in plan], "inside", spec.kernel[0])
        self.freed = self._ahead([row.freed for row in plan], "freed")
        self.offset = self._ahead([row.offset for row in plan], "offset")
        self.over: Value = Const(0)
        if spec.columns:
            self.over = self._ahead([row.above * spec.dilation[0] - row.offset for row in plan], "over")

    def there(self, row_done: Value) -> Value:
        """Whether the rows that this one waits for are complete; ``row_done``, an input row is after this cycle.

        The complete rows less those that are waited for, since the start, are the sign of a counter.
        """
        m = self._m
        spare = Signal(shape_for(-max(self._wait), self._rows - min(self._wait)), init=-self._wait[0], name="spare")
        m.d.sync += spare.eq(spare + row_done - Mux(self._moves, self._further, 0))
        return ~spare[-1]

    def _ahead(self, values: Sequence[int], name: str, bits: int | None = None) -> Value:
        """Those of ``values``, one an output row, that is for this row; of ``bits`` where these are given."""
        width, signed = bits_for(min(values), max(values)) if bits is None else (bits, False)
        columns = (tuple(value >> bit & 1 for value in values) for bit in range(width))
        found = Cat(self._bit(column, f"{name}_{bit}") for bit, column in enumerate(columns))
        return found.as_signed() if signed else found

    def _bit(self, values: tuple[int, ...], name: str) -> Value:
        """One bit of what the rows need; equal ones are one register."""
        if len(set(values)) == 1:
            return Const(values[0], 1)
        if values not in self._bits:
            self._bits[values] = found = Signal(init=values[0], name=name)
            with self._m.If(self._moves):
                self._m.d.sync += found.eq(selected(self._m, self._y, [*values[1:], values[0]], f"{name}_next"))
        return self._bits[values]
