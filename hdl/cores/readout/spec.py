"""What a read-out computes: logits and classes, its numpy model, the layout of its words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from amaranth.lib import data

from ...bounds import largest, reaches, whole
from ...cost.parts import Parts, index_bits
from ...streams.words import WordFormat
from ..protocol import CoreSpec
from ..synapse.trees import levels

if TYPE_CHECKING:
    from .core import Readout

__all__ = ["ReadoutSpec"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadoutSpec(CoreSpec):
    """Read-out (``quant.ir.ops.Readout``): logits = currents + bias; class = argmax, the lowest index on ties.

    Parameters: ``bias``, (classes,); ``i_format``, the words of currents summed over time; ``ranges``, (classes, 2),
    their ranges.
    """

    NAME: ClassVar[str] = "readout"

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
    def o_width(self) -> int:
        """Bits of the logits and of the best class."""
        return self.payload.size

    @property
    def latency(self) -> int:
        """Cycles from a current word to its logits."""
        return int(self.bias.any()) + levels(self.outputs) + 1

    def compute(self, currents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Model: currents (n, outputs, 1) to logits (n, outputs, 1) and the best class so far (n,)."""
        logits = self.i_format.checked(currents).reshape(-1, self.groups * self.outputs) + self.bias
        best = [logits[:, : (g + 1) * self.outputs].argmax(1) for g in range(self.groups)]
        return logits.reshape(-1, self.outputs, 1), np.stack(best, 1).reshape(-1)

    def packed(self, *words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Model: logits (n, outputs, 1), and the words (n, limbs) that hold them and the best classes."""
        logits, best = self.compute(*words)
        return logits, self.pack(logits, best)

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

    def parts(self) -> Parts:
        """What it is made of: biases, the tournament, the best class so far."""
        parts = Parts()
        outputs, form = self.outputs, self.o_format
        group, lane = index_bits(self.groups), max(1, index_bits(outputs))
        best = max(1, index_bits(len(self.bias)))
        parts.counter(self.groups)
        width = form.bits
        if self.bias.any():
            parts.registers(outputs * width + 1 + group)
            parts.adders(np.full(outputs, width), "read-out adder")
            parts.table(self.groups, outputs * width)
        field = outputs
        for _ in range(levels(outputs)):
            parts.adders(np.full(field // 2, width), "read-out test")
            parts.logic["winner"] += (field // 2) * (width + lane)
            field -= field // 2
            parts.registers(field * (width + lane) + outputs * width + 1 + group)
        parts.registers(width + best + 1 + outputs * width)
        parts.adders(np.array([width]), "read-out test")
        parts.logic["class"] += best
        return parts

    def core(self) -> Readout:
        """The hardware."""
        from .core import Readout

        return Readout(self)
