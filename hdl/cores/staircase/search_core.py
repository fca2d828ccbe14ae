"""The pipeline of a binary search: the threshold that the bits so far choose is compared with the current, and the
answer is the next bit. What it needs later travels along."""

from __future__ import annotations

from amaranth import *

from ...streams.counter import counter
from ...streams.pipe import Pipe
from ...streams.words import resized
from .search import SearchSpec

__all__ = ["SearchPipeline"]


class SearchPipeline(Pipe):
    """The staircase of a :class:`SearchSpec`. Takes a word in any cycle, never stalls.

    Members: ``i``: In(stream of current words, always ready); ``o``: Out(stream of value words, always ready).
    """

    def __init__(self, spec: SearchSpec) -> None:
        self.spec = spec
        super().__init__(spec.i_format.width, spec.o_format.width)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, form = self.spec, self.spec.i_format
        valid, word, group = self.i.valid, self.i.payload, Value.cast(Const(0, 0))
        if spec.rows > 1:
            group = counter(m, spec.groups, self.i.valid, "group")[0]
        bits = [Value.cast(Const(0, 0)) for _ in range(spec.outputs)]
        values = list[Value]()
        for s, step in enumerate(spec.searched):
            before = bits, group
            bits = [delayed(m, b, step.bits, f"bits_{s}_{lane}") for lane, b in enumerate(bits)]
            group = delayed(m, group, step.group, f"group_{s}")
            valid, word = (delayed(m, x, step.cycles, f"{n}_{s}") for x, n in ((valid, "valid"), (word, "word")))
            indexes, of_group = before if step.table.block else (bits, group)
            for lane in range(spec.outputs):
                index = Cat(indexes[lane], of_group)
                test, *sides = step.table.read(m, platform, lane, index, f"test_{s}_{lane}")
                current = word.word_select(lane, form.bits)
                reached = Signal(name=f"reached_{s}_{lane}")
                m.d.comb += reached.eq((current.as_signed() if form.signed else current) >= test)
                bits[lane] = Cat(reached, bits[lane])
                if s == spec.count_bits - 1:
                    value = Mux(reached, sides[1], sides[0]) if sides else bits[lane] + spec.low
                    values.append(resized(m, value, spec.o_format.low, spec.o_format.high, f"value_{lane}"))
        m.d.sync += [self.o.valid.eq(valid), self.o.payload.eq(Cat(values))]
        return m


def delayed(m: Module, value: Value, cycles: int, name: str) -> Value:
    """``value`` of ``cycles`` ago; without cycles to go, and of no bits, itself."""
    for k in range(cycles if len(value) else 0):
        later = Signal(len(value), name=f"{name}_{k}")
        m.d.sync += later.eq(value)
        value = later
    return value
