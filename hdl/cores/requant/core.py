"""Shift-based batch norm and quantiser: subtract, shift, clamp. Constants only, no multiplier."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth import *

from ...bounds import reaches, whole
from ...memory.rom import selected
from ...streams.counter import counter
from ...streams.pipe import Pipe
from ...streams.words import WordFormat, shape_for

__all__ = ["RequantSpec", "Requantiser"]


@dataclass(frozen=True, kw_only=True, eq=False)
class RequantSpec:
    """Quantiser of a layer (``quant.ir.ops.Requant``): y = clamp((a - bias) >> shift, lo, hi), floor.

    Parameters: ``bias`` and ``shift``, (Co,) integers, a negative shift to the left; ``lo`` and ``hi``; ``i_format``,
    the current words (one step); ``ranges``, (Co, 2), range of each channel's current.
    """

    bias: np.ndarray
    shift: np.ndarray
    lo: int
    hi: int
    i_format: WordFormat
    ranges: np.ndarray

    def __post_init__(self) -> None:
        whole("bias", self.bias, 1)
        whole("shift", self.shift, 1)
        whole("ranges", self.ranges, 2)
        if self.shift.min() < -8 or self.shift.max() > 30:
            raise ValueError(f"Shifts must be in -8..30, found {self.shift.min()}..{self.shift.max()}")
        shifted = np.abs(self.ranges).max(1) + np.abs(self.bias) << np.maximum(-self.shift, 0)  # below 2^62
        reaches("A shifted value", int(shifted.max()))
        if self.i_format.steps != 1:
            raise ValueError(f"A quantiser takes one current a channel, not {self.i_format.steps} time steps")
        if self.bias.shape[0] % self.outputs:
            raise ValueError(f"outputs={self.outputs} does not divide the {self.bias.shape[0]} output channels")

    @property
    def outputs(self) -> int:
        """Channels computed at once."""
        return self.i_format.lanes

    @property
    def groups(self) -> int:
        """Groups of channels, one after the other."""
        return self.bias.shape[0] // self.outputs

    @property
    def o_format(self) -> WordFormat:
        """The words of values that leave."""
        return WordFormat(self.outputs, 1, self.lo, self.hi)

    @property
    def latency(self) -> int:
        """Cycles from a current word to its values: one for the subtraction, if there is one, one for the rest."""
        return 2 if self.bias.any() else 1

    @cached_property
    def differences(self) -> np.ndarray:
        """Range (Co, 2) of a - bias."""
        return self.ranges - self.bias[:, None]

    def compute(self, currents: np.ndarray) -> np.ndarray:
        """Model: currents (n, outputs, 1) to values (n, outputs, 1)."""
        x = self.i_format.checked(currents).reshape(-1, self.groups * self.outputs) - self.bias
        x = np.where(self.shift >= 0, x >> np.maximum(self.shift, 0), x << np.maximum(-self.shift, 0))
        return np.clip(x, self.lo, self.hi).reshape(-1, self.outputs, 1)


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
        with m.If(shifted < spec.lo if low < spec.lo else Const(0)):
            m.d.comb += result.eq(spec.lo)
        with m.Elif(shifted > spec.hi if high > spec.hi else Const(0)):
            m.d.comb += result.eq(spec.hi)
        with m.Else():
            m.d.comb += result.eq(shifted)
        return result
