"""What the output row of a walk needs of the ring, out of registers.

A row's figures are looked up while the row before it is walked over, so that what is decided in a cycle begins at
flip-flops and not at a table.
"""

from __future__ import annotations

from amaranth import *

from ...memory.columns import Columns
from ...streams.counter import balance, counter
from ...streams.words import shape_for
from .spec import WindowSpec

__all__ = ["Rows"]


class Rows:
    """The plan of the output row of ``spec`` that a walk is in, which ends where ``moves``.

    Attributes: ``inside``, a bit for each kernel row, whether it lies in the frame; ``freed`` and ``offset``, as in
    ``RowPlan``; ``over``, rows of the frame that its first kernel row is above the first one that is not freed.
    """

    def __init__(self, m: Module, spec: WindowSpec, moves: Value) -> None:
        self._m, self._moves, plan = m, moves, spec.row_plan[: spec.plan_period]
        table = Columns(m, counter(m, len(plan), moves, "y")[0], moves)
        self._wait = [row.wait for row in plan]
        further = [b.wait - a.wait + a.freed for a, b in zip(plan, [*plan[1:], plan[0]], strict=True)]
        self._further, self._rows = table.value(further, "further"), spec.rows
        self.inside = table.value([(1 << row.inside) - 1 << row.above for row in plan], "inside", spec.kernel[0])
        self.freed = table.value([row.freed for row in plan], "freed")
        self.offset = table.value([row.offset for row in plan], "offset")
        self.over: Value = Const(0)
        if spec.columns:
            self.over = table.value([row.above * spec.dilation[0] - row.offset for row in plan], "over")

    def there(self, row_done: Value) -> Value:
        """Whether the rows that this one waits for are complete; ``row_done``, an input row is after this cycle.

        The complete rows less those that are waited for, since the start, are the sign of a counter.
        """
        m = self._m
        spare = Signal(shape_for(-max(self._wait), self._rows - min(self._wait)), init=-self._wait[0], name="spare")
        balance(m, spare, row_done, Mux(self._moves, self._further, 0))
        return ~spare[-1]
