"""Pooling of a window's words: sums, maxima of values, and the count gate for the maximum of spikes."""

from __future__ import annotations

from amaranth import *
from amaranth.lib import data

from ...streams.pipe import Pipe
from ...streams.words import shape_for
from .spec import PoolSpec

__all__ = ["PoolArray"]


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
