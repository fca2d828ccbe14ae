"""The read-out: adds the biases to the last currents, hands out the logits and keeps the best class so far."""

from __future__ import annotations

from amaranth import *

from ...memory.rom import selected
from ...streams.counter import counter
from ...streams.pipe import Pipe
from ...streams.words import resized, shape_for
from ..synapse.trees import levels
from .spec import ReadoutSpec

__all__ = ["Readout"]


class Readout(Pipe):
    """The read-out of a :class:`ReadoutSpec`. Takes a word in any cycle, never stalls.

    Members: ``i``: In(stream of current words, always ready); ``o``: Out(stream of ``spec.payload``, always ready).
    """

    def __init__(self, spec: ReadoutSpec) -> None:
        self.spec = spec
        super().__init__(spec.i_format.width, spec.payload)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, form = self.spec, self.spec.i_format
        shape = shape_for(spec.o_format.low, spec.o_format.high)
        group, _ = counter(m, spec.groups, self.i.valid, "group")
        travel = Cat(self.i.valid, group)
        logits = [self.i.payload.word_select(k, form.bits) for k in range(spec.outputs)]
        if form.signed:
            logits = [v.as_signed() for v in logits]

        def registers(values: list[Value], name: str) -> list[Value]:
            later = [Signal(v.shape(), name=f"{name}_{k}") for k, v in enumerate(values)]
            m.d.sync += [a.eq(b) for a, b in zip(later, values, strict=True)]
            return list(later)

        if spec.bias.any():
            sums = []
            for k, value in enumerate(logits):
                total = Signal(shape, name=f"biased_{k}")
                m.d.comb += total.eq(value + selected(m, group, spec.bias[k :: spec.outputs].tolist(), f"bias_{k}"))
                sums.append(total)
            logits = registers(sums, "logit")
            (travel,) = registers([travel], "travel")

        # A tournament: in every level the better of two neighbours, the left one on ties.
        field = [(v, Const(k, max(1, (spec.outputs - 1).bit_length()))) for k, v in enumerate(logits)]
        for level in range(levels(spec.outputs)):
            winners = []
            for k in range(0, len(field), 2):
                pair = field[k : k + 2]
                value, lane = (
                    Signal(shape, name=f"best_{level}_{k}"),
                    Signal(pair[0][1].shape(), name=f"lane_{level}_{k}"),
                )
                right = pair[1][0] > pair[0][0] if len(pair) == 2 else Const(0)
                m.d.sync += [
                    value.eq(Mux(right, pair[-1][0], pair[0][0])),
                    lane.eq(Mux(right, pair[-1][1], pair[0][1])),
                ]
                winners.append((value, lane))
            field = winners
            logits = registers(logits, f"logit_{level}")
            (travel,) = registers([travel], f"travel_{level}")
        (value, lane), valid, group = field[0], travel[0], travel[1:]

        best = Signal(shape)
        index = Signal(self.o.payload.best.shape())
        better = Signal()
        m.d.comb += better.eq((group == 0) | (value > best))
        with m.If(valid & better):
            m.d.sync += [best.eq(value), index.eq(group * spec.outputs + (lane if spec.outputs > 1 else 0))]
        wide = [resized(m, v, spec.o_format.low, spec.o_format.high, f"wide_{k}") for k, v in enumerate(logits)]
        m.d.sync += [self.o.valid.eq(valid), self.o.payload.logits.eq(Cat(wide))]
        m.d.comb += self.o.payload.best.eq(index)
        return m
