"""Operators that take and give integers of 8 bits: those of floats, between DequantizeLinear and QuantizeLinear."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...step import Step
from ..maps import Maps
from ..numbers import Fused, Numbers
from ..products import Products
from ..quantisers import Quantised
from ..taken import Pending, taken
from .tensors import Eight, code_of, levels_of

__all__ = ["QLinear"]


class QLinear:
    """Reads these operators with those that there are for floats."""

    def __init__(self, eight: Eight, products: Products, maps: Maps) -> None:
        self.eight, self.products, self.maps = eight, products, maps
        self.handlers: dict[str, Callable[[Step, Sequence[Any]], Any]] = {
            "QLinearConv": self._conv, "QLinearMatMul": self._matmul, "QGemm": self._gemm, "QLinearAdd": self._add,
            "QLinearGlobalAveragePool": self._average, "QLinearAveragePool": self._average,
            "QLinearConcat": self._concat, "QLinearLeakyRelu": self._leaky,
        }  # fmt: skip

    def _of(self, step: Step, scale: Any, zero: Any, x: Any) -> Numbers:
        """A tensor of the image, in floats."""
        return self.eight.floats(step, x, code_of(step, scale, zero))

    def _levels(self, step: Step, x: Any, scale: Any, zero: Any) -> Numbers:
        """The integers of 8 bits of ``x``."""
        return self.eight.coded(step, f"{step.name} levels", x, code_of(step, scale, zero))

    def _conv(self, step: Step, x: Sequence[Any]) -> Numbers:
        x, bias = _inputs(step, x, 8, 9)
        numbers, weights = self._of(step, x[1], x[2], x[0]), levels_of(step, x[3], x[4], x[5], 0)
        found = self.products.conv(step, numbers, weights, _bias(step, bias, numbers, weights))
        return self._levels(step, found, x[6], x[7])

    def _matmul(self, step: Step, x: Sequence[Any]) -> Numbers:
        x, _ = _inputs(step, x, 8, 8)
        numbers, weights = self._of(step, x[1], x[2], x[0]), levels_of(step, x[3], x[4], x[5], 1)
        found = self.products.linear(step, numbers, weights.transposed_of(), None)
        return self._levels(step, found, x[6], x[7])

    def _gemm(self, step: Step, x: Sequence[Any]) -> Any:
        if not 6 <= len(x) <= 9:
            step.refuse(f"of {len(x)} inputs", "6 to 9")
        x = [*x, *[None] * (9 - len(x))]
        if step.get("transA", 0) or (alpha := step.number("alpha", 1.0)) <= 0:
            step.refuse("with transA, or with alpha of 0 or less", "a tensor of the image times constants")
        across = bool(step.get("transB", 0))
        numbers, weights = self._of(step, x[1], x[2], x[0]), levels_of(step, x[3], x[4], x[5], 0 if across else 1)
        weights = weights if across else weights.transposed_of()
        weights = replace(weights, scale=np.float32(alpha) * weights.scale.astype(np.float32))
        bias = x[6].reshape(-1) if isinstance(x[6], np.ndarray) and x[6].size == len(weights.levels) else x[6]
        found = self.products.linear(step, numbers, weights, _bias(step, bias, numbers, weights))
        if numbers.code is not None and found.fused is not None:
            by = np.float32(alpha) * numbers.code.scale  # in this order
            scale = levels_of(step, x[3], x[4], x[5], 0 if across else 1).scale.astype(np.float32).reshape(-1)
            found = replace(found, fused=Fused(np.broadcast_to(by * scale, found.fused.scale.shape)))
        if x[7] is None:  # floats
            return found
        return self._levels(step, found, x[7], x[8])

    def _add(self, step: Step, x: Sequence[Any]) -> Numbers:
        x, _ = _inputs(step, x, 8, 8)
        terms = [self._term(step, *x[k : k + 3]) for k in (0, 3)]
        return self._levels(step, self.pending(step, *terms), x[6], x[7])

    def _term(self, step: Step, x: Any, scale: Any, zero: Any) -> Numbers | Quantised:
        return levels_of(step, x, scale, zero) if isinstance(x, np.ndarray) else self._of(step, scale, zero, x)

    def pending(self, step: Step, one: Any, other: Any) -> Pending:
        """The sum of two tensors of 8 bits, one of them a constant perhaps."""
        if isinstance(one, Quantised):
            one, other = other, one
        shape = taken(step, one, part=True).shape
        if not isinstance(other, Quantised) and taken(step, other, part=True).shape != shape:
            step.refuse(f"of shapes {shape} and {other.shape}", "equal shapes, or a constant for each channel")
        return Pending(step, one, other, shape)

    def _average(self, step: Step, x: Sequence[Any]) -> Numbers:
        x, _ = _inputs(step, x, 5, 5)
        if step.get("channels_last", 0):
            step.refuse("with channels_last=1", "maps (N, C, H, W)")
        found = self.maps.average(step, self._of(step, x[1], x[2], x[0]))
        return self._levels(step, found, x[3], x[4])

    def _concat(self, step: Step, x: Sequence[Any]) -> Numbers:
        if len(x) < 5 or len(x) % 3 != 2:
            step.refuse(f"of {len(x)} inputs", "a scale and a zero point, and three for each part")
        parts = [self._of(step, x[k + 1], x[k + 2], x[k]) for k in range(2, len(x), 3)]
        if (axis := step.get("axis", 1)) not in (1, 1 - len(parts[0].shape)):
            step.refuse(f"along axis {axis}", "concatenation along the channels, axis 1")
        return self._levels(step, self.maps.concatenated(step, parts), x[0], x[1])

    def _leaky(self, step: Step, x: Sequence[Any]) -> Numbers:
        x, _ = _inputs(step, x, 5, 5)
        alpha = step.number("alpha", 0.01)
        if not math.isfinite(alpha) or alpha < 0:
            step.refuse(f"with alpha={alpha}", "0 or more")
        return self._levels(step, self._of(step, x[1], x[2], x[0]).behind("LeakyRelu", alpha), x[3], x[4])


def _inputs(step: Step, x: Sequence[Any], least: int, most: int) -> tuple[Sequence[Any], Any]:
    """The first ``least`` of the inputs, and the one behind them."""
    if not least <= len(x) <= most:
        step.refuse(f"of {len(x)} inputs", f"{least} to {most}")
    return x[:least], x[least] if len(x) > least else None


def _bias(step: Step, bias: Any, x: Numbers, weights: Quantised) -> Quantised | None:
    """A bias of 32 bits (Co,) in units of the sums that it is added to."""
    if bias is None:
        return None
    if not isinstance(bias, np.ndarray) or bias.dtype != np.int32 or bias.shape != weights.shape[:1]:
        step.refuse("with a bias that is no constant of 32 bits for each output", "one that is")
    _, scale = weights.of_rows(step)
    return Quantised(bias.astype(np.int64), scale * x.unit[0], coded=True)
