"""Pooling of a window's words: sums, maxima of values, and the count gate for the maximum of spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from amaranth import *
from amaranth.lib import data

from ...streams.pipe import Pipe
from ...streams.words import WordFormat, shape_for

__all__ = ["PoolArray", "PoolSpec"]


@dataclass(frozen=True, kw_only=True)
class PoolSpec:
    """Pool of ``words`` window words into one (``quant.ir.ops.SumPool`` and ``MaxPool``).

    Parameters: ``kind``: "sum", "max" (values) or "max_spikes" (spike when the maximum over the window of the running
    spike counts rises); ``words``, the number of words; ``i_format``.
    """

    kind: Literal["sum", "max", "max_spikes"]
    words: int
    i_format: WordFormat

    def __post_init__(self) -> None:
        _ = self.o_format  # its range is checked there
        if self.kind == "max_spikes" and (self.i_format.low, self.i_format.high) != (0, 1):
            raise ValueError("The count gate takes single spikes")

    @property
    def o_format(self) -> WordFormat:
        """The pooled words."""
        form, times = self.i_format, self.words if self.kind == "sum" else 1
        return WordFormat(form.lanes, form.steps, form.low * times, form.high * times)

    @property
    def latency(self) -> int:
        """Cycles from the last word of a window to its result."""
        return 3 if self.kind == "max_spikes" else 1

    def compute(self, words: np.ndarray) -> np.ndarray:
        """Model: window words (n, lanes, T) to pooled words (n / words, lanes, T)."""
        x = self.i_format.checked(words).reshape(-1, self.words, *words.shape[1:])
        if self.kind == "sum":
            return x.sum(1)
        if self.kind == "max":
            return x.max(1)
        return np.diff(x.cumsum(-1).max(1), axis=-1, prepend=0)


class PoolArray(Pipe):
    """The pool of a :class:`PoolSpec`. Takes a word in any cycle, never stalls.

    Members: ``i``: In(stream of ``{data: window word, last: end of a window}``, always ready);
    ``o``: Out(stream of pooled words, always ready).
    """

    def __init__(self, spec: PoolSpec) -> None:
        self.spec = spec
        word = data.StructLayout({"data": spec.i_format.width, "last": 1})
        super().__init__(word, spec.o_format.width)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, form = self.spec, self.spec.i_format
        elements = [self.i.payload.data.word_select(k, form.bits) for k in range(form.lanes * form.steps)]
        valid, last = self.i.valid, self.i.valid & self.i.payload.last
        low, high = (spec.o_format.low, spec.o_format.high)
        start = low if spec.kind == "max" else 0
        if form.signed:
            elements = [e.as_signed() for e in elements]
        if spec.kind == "max_spikes":  # running counts, registered
            low, high = 0, form.steps
            counts = []
            for k in range(form.lanes):
                for t in range(form.steps):
                    count = Signal(range(t + 2), name=f"count_{k}_{t}")
                    m.d.sync += count.eq(sum(elements[k * form.steps :][: t + 1], Const(0)))
                    counts.append(count)
            elements = counts
            valid_1 = Signal()
            last_1 = Signal()
            m.d.sync += [valid_1.eq(valid), last_1.eq(last)]
            valid, last = valid_1, last_1
        results = []
        for k, element in enumerate(elements):
            shape = element.shape() if spec.kind == "max_spikes" else shape_for(low, high)
            acc, total = Signal(shape, init=start, name=f"acc_{k}"), Signal(shape, name=f"acc_next_{k}")
            result = Signal(shape, name=f"result_{k}")
            m.d.comb += total.eq(acc + element if spec.kind == "sum" else Mux(element > acc, element, acc))
            with m.If(valid):
                m.d.sync += acc.eq(total)
            with m.If(last):
                m.d.sync += [acc.eq(start), result.eq(total)]
            results.append(result)
        if spec.kind != "max_spikes":
            m.d.sync += self.o.valid.eq(last)
            m.d.comb += self.o.payload.eq(Cat(results))
            return m
        last_2 = Signal()
        m.d.sync += [last_2.eq(last), self.o.valid.eq(last_2)]
        m.d.sync += self.o.payload.eq(Cat(r > (results[n - 1] if n % form.steps else 0) for n, r in enumerate(results)))
        return m
