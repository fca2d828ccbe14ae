"""What a pool computes, and its numpy model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from ...cost.parts import Parts
from ...streams.words import WordFormat
from ..protocol import CoreSpec

if TYPE_CHECKING:
    from .core import PoolArray

__all__ = ["PoolSpec"]


@dataclass(frozen=True, kw_only=True)
class PoolSpec(CoreSpec):
    """Pool of ``words`` window words into one (``quant.ir.ops.SumPool`` and ``MaxPool``).

    Parameters: ``kind``: "sum", "max" (values) or "max_spikes" (spike when the maximum over the window of the running
    spike counts rises); ``words``, the number of words; ``i_format``.
    """

    NAME: ClassVar[str] = "poolarray"

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

    def parts(self) -> Parts:
        """What it is made of: accumulators and results, and for the count gate the counts."""
        parts = Parts()
        form, out = self.i_format, self.o_format
        elements = form.lanes * form.steps
        parts.registers(1)
        if self.kind != "max_spikes":
            parts.registers(2 * elements * out.bits)
            if self.kind == "sum":
                parts.adders(np.full(elements, out.bits), "pool adder")
            else:
                parts.adders(np.full(elements, out.bits), "pool test")
                parts.logic["maximum"] += elements * out.bits
            return parts
        parts.registers(3 + elements)
        for t in range(form.steps):
            bits = (t + 1).bit_length()
            parts.registers(3 * form.lanes * bits)
            parts.logic["running count"] += form.lanes * bits * (1 << max(0, t - 3))
            parts.adders(np.full(2 * form.lanes, bits), "pool test")
            parts.logic["maximum"] += form.lanes * bits
        return parts

    def core(self) -> PoolArray:
        """The hardware."""
        from .core import PoolArray

        return PoolArray(self)
