"""The biases of a map read-out: one addition a lane, of a constant that the group of channels chooses."""

from __future__ import annotations

from amaranth import *

from ...memory.columns import Columns
from ...memory.rom import selected
from ...streams.counter import counter
from ...streams.pipe import Pipe
from ...streams.words import shape_for
from .spec import BiasSpec

__all__ = ["Bias"]


class Bias(Pipe):
    """The adders of a :class:`BiasSpec`. Takes a word in any cycle, never stalls.

    Members: ``i``: In(stream of current words, always ready); ``o``: Out(stream of sums, always ready).
    """

    def __init__(self, spec: BiasSpec) -> None:
        self.spec = spec
        super().__init__(spec.i_format.width, spec.o_format.width)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, form = self.spec, self.spec.i_format
        group, _ = counter(m, spec.groups, self.i.valid, "group")
        ahead = Columns(m, group, self.i.valid) if spec.ahead else None
        sums = []
        for k, biases in enumerate(spec.biases):
            value = self.i.payload.word_select(k, form.bits)
            if form.signed:
                value = value.as_signed()
            name = f"bias_{k}"
            bias = selected(m, group, biases, name) if ahead is None else ahead.value(biases, name)
            # A lane is as wide as its own channels need; the word extends its sign.
            mine = spec.sums[k :: spec.outputs]
            total = Signal(shape_for(int(mine[:, 0].min()), int(mine[:, 1].max())), name=f"sum_{k}")
            m.d.sync += total.eq(value + bias)
            wide = Signal(shape_for(spec.o_format.low, spec.o_format.high), name=f"wide_{k}")
            m.d.comb += wide.eq(total)
            sums.append(wide)
        m.d.sync += self.o.valid.eq(self.i.valid)
        m.d.comb += self.o.payload.eq(Cat(sums))
        return m
