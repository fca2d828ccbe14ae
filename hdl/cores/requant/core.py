"""Shift-based batch norm and quantiser: subtract, shift, clamp. Constants only, no multiplier."""

from __future__ import annotations

from amaranth import *

from ...memory.columns import Columns
from ...memory.rom import selected
from ...streams.counter import counter
from ...streams.pipe import Pipe
from ...streams.words import shape_for
from .spec import RequantSpec, split

__all__ = ["Requantiser"]


class Requantiser(Pipe):
    """The quantiser of a :class:`RequantSpec`. Takes a word in any cycle, never stalls.

    Members: ``i``: In(stream of current words, always ready); ``o``: Out(stream of value words, always ready).
    """

    def __init__(self, spec: RequantSpec) -> None:
        self.spec = spec
        super().__init__(spec.i_format.width, spec.o_format.width)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, form = self.spec, self.spec.i_format
        group, _ = counter(m, spec.groups, self.i.valid, "group")
        valid, values = self.i.valid, [self.i.payload.word_select(k, form.bits) for k in range(spec.outputs)]
        if form.signed:
            values = [v.as_signed() for v in values]
        ahead = Columns(m, group, self.i.valid) if spec.ahead else None
        shifts = ahead
        if spec.bias.any():
            shifts, later = Columns(m, group), Signal(name="later_valid")
            m.d.sync += later.eq(valid)
            for k, value in enumerate(values):
                mine = spec.differences[k :: spec.outputs]
                values[k] = Signal(shape_for(int(mine[:, 0].min()), int(mine[:, 1].max())), name=f"difference_{k}")
                m.d.sync += values[k].eq(value - self._chosen(m, ahead, group, spec.biases[k], f"bias_{k}"))
            valid = later
        ways = [self._chosen(m, shifts, group, spec.ways(k)[1], f"way_{k}") for k in range(spec.outputs)]
        m.d.sync += [
            self.o.valid.eq(valid),
            self.o.payload.eq(Cat(self._scale(m, v, k, ways[k]) for k, v in enumerate(values))),
        ]
        return m

    @staticmethod
    def _chosen(m: Module, columns: Columns | None, group: Value, values: list[int], name: str) -> Value:
        """The one of ``values`` that is for ``group``: out of registers, or at once where there are none."""
        return selected(m, group, values, name) if columns is None else columns.value(values, name)

    def _scale(self, m: Module, value: Value, lane: int, way: Value) -> Value:
        """Shift by the lane's constant, ``way`` of all that it has, then clamp."""
        spec = self.spec
        shifts = spec.shift[lane :: spec.outputs].tolist()
        mine = spec.differences[lane :: spec.outputs]
        low = int(min(v >> s if s >= 0 else v << -s for v, s in zip(mine[:, 0].tolist(), shifts, strict=True)))
        high = int(max(v >> s if s >= 0 else v << -s for v, s in zip(mine[:, 1].tolist(), shifts, strict=True)))
        shifted = Signal(shape_for(low, high), name=f"shifted_{lane}")
        choices = [value >> s if s >= 0 else value << -s for s in spec.ways(lane)[0]]
        with m.Switch(way):
            for k, choice in enumerate(choices):
                with m.Case(k) if k < len(choices) - 1 else m.Default():
                    m.d.comb += shifted.eq(choice)
        result = Signal(shape_for(spec.lo, spec.hi), name=f"clamped_{lane}")
        # Comparisons that the range of the value decides are left out.
        with m.If(_below(shifted, spec.lo) if low < spec.lo else Const(0)):
            m.d.comb += result.eq(spec.lo)
        with m.Elif(_above(shifted, spec.hi) if high > spec.hi else Const(0)):
            m.d.comb += result.eq(spec.hi)
        with m.Else():
            m.d.comb += result.eq(shifted)
        return result


def _below(value: Value, bound: int) -> Value:
    """Whether ``value`` is below ``bound``: of zero its sign says so, else its sign, the bits above those of the bound
    and, where that is no power of two, those below them."""
    if not value.shape().signed or bound > 0:
        return value < bound
    if bound == 0:
        return value[-1]
    bits, rest = split(-bound)
    beyond = ~value[bits:-1].all() if len(value) > bits + 1 else Const(0, 1)
    return value[-1] & (beyond | (value[:bits] < rest) if rest else beyond)


def _above(value: Value, bound: int) -> Value:
    """Whether ``value`` is above ``bound``, by the bits above those of the bound and those below them."""
    if bound < 0:
        return value > bound
    sign, value = (value[-1], value[:-1]) if value.shape().signed else (Const(0, 1), value)
    bits, rest = split(bound + 1)
    beyond = value[bits:].any() if len(value) > bits else Const(0, 1)
    return ~sign & (beyond | (value[:bits] >= (1 << bits) - rest) if rest else beyond)
