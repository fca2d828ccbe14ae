"""Shift-based batch norm and quantiser: subtract, shift, clamp. Constants only, no multiplier."""

from __future__ import annotations

from amaranth import *

from ...memory.rom import selected
from ...streams.counter import counter
from ...streams.pipe import Pipe
from ...streams.words import shape_for
from .spec import RequantSpec, exponent

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
        if spec.bias.any():
            later = Signal(group.shape())
            later_valid = Signal()
            m.d.sync += [later.eq(group), later_valid.eq(valid)]
            for k, value in enumerate(values):
                mine = spec.differences[k :: spec.outputs]
                values[k] = Signal(shape_for(int(mine[:, 0].min()), int(mine[:, 1].max())), name=f"difference_{k}")
                m.d.sync += values[k].eq(value - selected(m, group, spec.bias[k :: spec.outputs].tolist(), f"bias_{k}"))
            group, valid = later, later_valid
        m.d.sync += [
            self.o.valid.eq(valid),
            self.o.payload.eq(Cat(self._scale(m, v, k, group) for k, v in enumerate(values))),
        ]
        return m

    def _scale(self, m: Module, value: Value, lane: int, group: Value) -> Value:
        """Shift by the lane's constant of this group, then clamp."""
        spec = self.spec
        shifts = spec.shift[lane :: spec.outputs].tolist()
        mine = spec.differences[lane :: spec.outputs]
        low = int(min(v >> s if s >= 0 else v << -s for v, s in zip(mine[:, 0].tolist(), shifts, strict=True)))
        high = int(max(v >> s if s >= 0 else v << -s for v, s in zip(mine[:, 1].tolist(), shifts, strict=True)))
        shifted = Signal(shape_for(low, high), name=f"shifted_{lane}")
        choices = [value >> s if s >= 0 else value << -s for s in shifts]
        if len(set(shifts)) == 1:
            m.d.comb += shifted.eq(choices[0])
        else:
            with m.Switch(group):
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
    """Whether ``value`` is below ``bound``: of zero its sign says so, of -2^k its sign and the bits from k on."""
    if not value.shape().signed or (power := exponent(-bound)) is None:
        return value < bound
    return value[-1] if bound == 0 else value[-1] & ~value[power:-1].all()


def _above(value: Value, bound: int) -> Value:
    """Whether ``value`` is above ``bound``: of 2^k - 1 the bits from k on say so, and its sign."""
    if (power := exponent(bound + 1)) is None:
        return value > bound
    return value[power:-1].any() & ~value[-1] if value.shape().signed else value[power:].any()
