"""The read-out: adds the biases to the last currents, hands out the logits and keeps the best class so far."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth import *
from amaranth.lib import data

from ...bounds import largest, reaches, whole
from ...memory.rom import selected
from ...streams.counter import counter
from ...streams.pipe import Pipe
from ...streams.words import WordFormat, resized, shape_for
from ..synapse.adders import levels

__all__ = ["Readout", "ReadoutSpec"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadoutSpec:
    """Read-out (``quant.ir.ops.Readout``): logits = currents + bias; class = argmax, the lowest index on ties.

    Parameters: ``bias``, (classes,); ``i_format``, the words of currents summed over time; ``ranges``, (classes, 2),
    their ranges.
    """

    bias: np.ndarray
    i_format: WordFormat
    ranges: np.ndarray

    def __post_init__(self) -> None:
        whole("bias", self.bias, 1)
        whole("ranges", self.ranges, 2)
        reaches("A logit", largest(self.ranges) + largest(self.bias))
        if self.i_format.steps != 1:
            raise ValueError("A read-out takes currents summed over time")
        if self.bias.shape[0] % self.outputs:
            raise ValueError(f"outputs={self.outputs} does not divide the {self.bias.shape[0]} classes")

    @property
    def outputs(self) -> int:
        """Classes in a word."""
        return self.i_format.lanes

    @property
    def groups(self) -> int:
        """Words of a frame."""
        return self.bias.shape[0] // self.outputs

    @cached_property
    def logits(self) -> np.ndarray:
        """Range (classes, 2) of the logits."""
        return self.ranges + self.bias[:, None]

    @property
    def o_format(self) -> WordFormat:
        """The logits in the low bits of an output word."""
        return WordFormat(self.outputs, 1, int(self.logits[:, 0].min()), int(self.logits[:, 1].max()))

    @property
    def payload(self) -> data.StructLayout:
        """An output word: ``logits``, and ``best``, the best class of the frame so far (final in its last word)."""
        return data.StructLayout({"logits": self.o_format.width, "best": max(1, (self.bias.shape[0] - 1).bit_length())})

    @property
    def latency(self) -> int:
        """Cycles from a current word to its logits."""
        return int(self.bias.any()) + levels(self.outputs) + 1

    def compute(self, currents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Model: currents (n, outputs, 1) to logits (n, outputs, 1) and the best class so far (n,)."""
        logits = self.i_format.checked(currents).reshape(-1, self.groups * self.outputs) + self.bias
        best = [logits[:, : (g + 1) * self.outputs].argmax(1) for g in range(self.groups)]
        return logits.reshape(-1, self.outputs, 1), np.stack(best, 1).reshape(-1)

    def pack(self, logits: np.ndarray, best: np.ndarray) -> np.ndarray:
        """Words (n, limbs), uint32, of logits (n, outputs, 1) and best classes (n,)."""
        form, size = self.o_format, self.payload.size
        bits = np.zeros((len(logits), -(-size // 32) * 32), np.uint8)
        packed = form.pack(logits).view(np.uint8)
        bits[:, : form.width] = np.unpackbits(packed, axis=1, bitorder="little")[:, : form.width]
        bits[:, form.width : size] = (best[:, None] >> np.arange(size - form.width)) & 1
        return np.ascontiguousarray(np.packbits(bits, axis=1, bitorder="little")).view("<u4")

    def answers(self, words: np.ndarray) -> np.ndarray:
        """The class of every whole frame in ``words`` (n, limbs), as the hardware gave it."""
        last = np.ascontiguousarray(words[self.groups - 1 :: self.groups], dtype="<u4")
        bits = np.unpackbits(last.view(np.uint8), axis=1, bitorder="little")[:, self.o_format.width : self.payload.size]
        return bits.astype(np.int64) @ (1 << np.arange(bits.shape[1]))


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
