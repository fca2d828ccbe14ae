"""A QONNX graph as an integer network: what its quantisers leave are integers times scales, and all between two of them
are thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ....ir.network import Network
from ....ir.ops import Flatten, MaxPool, SumPool
from ....ir.ops.staircase import MOST_THRESHOLDS
from ...protocol import Pixels
from .answer import readout, seen
from .building import Building
from ..constants import axes_of
from ..graph import Graph, Step
from .numbers import Numbers
from .products import Products
from .quantisers import Quantised, Quantiser, quantised
from .thresholds import stairs
from ..walk import Walk, no_result
from ..weights import batch_norm, by_channel
from ..windows import Square, whole_map, windows_of

__all__ = ["IntegerReader"]

MOST_SAME = 1 << 10
"""Up to so many values are compared one by one with what a quantiser makes of them."""


class IntegerReader(Walk[Numbers]):
    """Reads a graph with quantisers, whose image is what a model sees of ``pixels``."""

    def __init__(self, graph: Graph, pixels: Pixels) -> None:
        self.pixels, self.building = pixels, Building(graph.pixels, pixels.high)
        image, numbers = self.building.image, seen(self.building.image, graph, pixels)
        if len(graph.shape) == 2 and math.prod(graph.pixels[1:]) > 1:
            image = self.building.add(Flatten(name=f"{image} as a vector", source=image))
            numbers = numbers.flattened(image, graph.shape, math.prod(graph.pixels[1:]))
        super().__init__(graph, numbers.moved(image, graph.shape))
        self.products = Products(self.building)
        self.handlers = {
            "Quant": self._quant, "IntQuant": self._quant, "BipolarQuant": self._quant, "MatMul": self._matmul,
            "Gemm": self._gemm, "Conv": self._conv, "Add": self._add, "Sub": self._moved, "Mul": self._moved,
            "Div": self._moved, "BatchNormalization": self._norm, "Relu": self._relu, "Clip": self._clip,
            "MaxPool": self._max, "AveragePool": self._average, "GlobalAveragePool": self._average,
            "ReduceMean": self._mean, "Flatten": self._flat, "Reshape": self._flat, "Squeeze": self._flat,
            "Unsqueeze": self._flat, "Transpose": self._transposed, "Identity": self.passed,
            "Dropout": self.passed, "Cast": self.passed,
        }  # fmt: skip

    def network(self) -> Network:
        """The network. Raises UnsupportedLayer and NetworkError."""
        return readout(self.building, self.run(), self.graph, self.pixels)

    def _numbers(self, step: Step, x: Any) -> Numbers:
        if not isinstance(x, Numbers):
            step.refuse("of a constant", "the tensor of an image as its first input")
        return x

    def _quant(self, step: Step, x: Sequence[Any]) -> Any:
        quantiser = Quantiser.of(step, x[1:])
        if not isinstance(x[0], Numbers):
            constant = self._constant(x[0])
            if not np.isfinite(constant).all():
                step.refuse("of constants that are not finite", "finite ones")
            levels = quantiser.levels(constant) - quantiser.zero.astype(np.int64)
            return Quantised(levels, quantiser.scale.astype(np.float64))
        numbers, quantiser = x[0], quantiser.for_channels(step, x[0].shape)
        if (same := self._same(numbers, quantiser)) is not None:
            return same
        if (mapped := self._mapped(numbers, quantiser)) is not None:
            return self._flattened(step, self._stepped(step, *mapped), numbers.shape)
        return self._stepped(step, numbers, quantiser)

    def _mapped(self, numbers: Numbers, quantiser: Quantiser) -> tuple[Numbers, Quantiser] | None:
        """The same before a Flatten, where all pixels of a channel meet the same thresholds: fewer of them."""
        node = self.building.nodes[numbers.node]
        if not isinstance(node, Flatten):
            return None
        shape = (numbers.shape[0], *self.building.signals[node.source].shape)
        size = math.prod(shape[2:])
        scale, zero = (v.reshape(-1, size) for v in (quantiser.scale, quantiser.zero))
        before = numbers.unflattened(node.source, shape)
        if before is None or (scale != scale[:, :1]).any() or (zero != zero[:, :1]).any():
            return None
        return before, replace(quantiser, scale=scale[:, :1], zero=zero[:, :1])

    def _stepped(self, step: Step, numbers: Numbers, quantiser: Quantiser) -> Numbers:
        """The staircase of ``quantiser``."""
        node = numbers.node
        if self.building.values(node):
            node = self.building.gained(step.name, numbers.node, np.ones(len(numbers.unit), np.int64))
        self._finite(step, numbers)
        signal = self.building.signals[node]
        found = stairs(numbers, quantiser, (signal.low, signal.high))
        if found.threshold.shape[1] > MOST_THRESHOLDS:
            step.refuse(f"of {found.threshold.shape[1] + 1} levels", f"up to {MOST_THRESHOLDS + 1}, as 8 bits have; "
                        "more where a quantiser keeps the pixels of an image as they are")  # fmt: skip
        self.building.turn(step, node, found.turned)
        self.building.staircase(step.name, node, found)
        return self._levels(step.name, numbers.shape, quantiser, np.zeros(1))

    def _same(self, numbers: Numbers, quantiser: Quantiser) -> Numbers | None:
        """The numbers of a quantiser that keeps all values there are, but for an offset."""
        signal = self.building.signals[numbers.node]
        if signal.kind != "values" or signal.high - signal.low > MOST_SAME:
            return None
        n = np.arange(signal.low, signal.high + 1)[None].repeat(len(numbers.unit), 0)
        more = quantiser.levels(numbers.floats(n)) - n
        if (more != more[:, :1]).any():
            return None
        return self._levels(numbers.node, numbers.shape, quantiser, more[:, 0])

    def _levels(self, node: str, shape: tuple[int, ...], quantiser: Quantiser, more: np.ndarray) -> Numbers:
        """The values of ``node``, levels of a quantiser but for ``more``, as floats."""
        reach = self.building.reach(node)
        return Numbers.levels(node, shape, reach, quantiser.scale[:, 0], more - quantiser.zero[:, 0])

    def _finite(self, step: Step, numbers: Numbers) -> None:
        ends = np.array([[-numbers.reach, numbers.reach]]).repeat(len(numbers.unit), 0)
        if not np.isfinite(numbers.floats(ends)).all():
            step.refuse("of numbers that are not finite", "constants that are, and variances above 0")

    def _constant(self, x: Any) -> Any:
        if isinstance(x, Quantised):
            return (x.levels * x.scale).astype(np.float32)
        return x.astype(np.float32) if isinstance(x, np.ndarray) else x

    def _matmul(self, step: Step, x: Sequence[Any]) -> Numbers:
        weights = quantised(step, x[1])
        return self.products.linear(step, self._numbers(step, x[0]), weights.transposed_of(), None)

    def _gemm(self, step: Step, x: Sequence[Any]) -> Numbers:
        if step.get("transA", 0) or step.get("alpha", 1.0) != 1 or step.get("beta", 1.0) != 1:
            step.refuse("with transA, alpha or beta", "none of them")
        weights = quantised(step, x[1])
        if not step.get("transB", 0):
            weights = weights.transposed_of()
        bias = self._constant(x[2]) if len(x) > 2 else None
        return self.products.linear(step, self._numbers(step, x[0]), weights, bias)

    def _conv(self, step: Step, x: Sequence[Any]) -> Numbers:
        bias = self._constant(x[2]) if len(x) > 2 else None
        return self.products.conv(step, self._numbers(step, x[0]), quantised(step, x[1]), bias)

    def _add(self, step: Step, x: Sequence[Any]) -> Numbers:
        if isinstance(x[0], Numbers) and isinstance(x[1], Numbers):
            return self.products.add(step, x[0], x[1])
        return self._moved(step, x)

    def _moved(self, step: Step, x: Sequence[Any]) -> Numbers:
        """A constant that is added, taken off, multiplied or divided by."""
        if isinstance(x[0], Numbers) and isinstance(x[1], Numbers):
            no_result(step, "")
        k = 0 if isinstance(x[0], Numbers) else 1
        numbers = self._numbers(step, x[k])
        constant = by_channel(step, self._constant(x[1 - k]), numbers.shape)
        if step.op == "Div" and (k or not constant.all()):
            step.refuse("by a tensor that depends on the image, or by 0", "division by a constant")
        return numbers.behind("From" if k and step.op == "Sub" else step.op, constant)

    def _norm(self, step: Step, x: Sequence[Any]) -> Numbers:
        numbers = self._numbers(step, x[0])
        parts = [self._constant(v) for v in x[1:]]
        return numbers.behind("BatchNormalization", *batch_norm(step, parts, numbers.shape))

    def _relu(self, step: Step, x: Sequence[Any]) -> Numbers:
        return self._numbers(step, x[0]).behind("Relu")

    def _clip(self, step: Step, x: Sequence[Any]) -> Numbers:
        ends = [step.get(key, None) if len(x) <= k or x[k] is None else x[k] for k, key in ((1, "min"), (2, "max"))]
        if any(isinstance(end, Numbers) for end in ends):
            no_result(step, "")
        low = -math.inf if ends[0] is None else float(ends[0])
        high = math.inf if ends[1] is None else float(ends[1])
        return self._numbers(step, x[0]).behind("Clip", low, high)

    def _pooling(self, step: Step, x: Any) -> Numbers:
        numbers = self._numbers(step, x)
        if numbers.rises or not self.building.values(numbers.node):
            step.refuse("of numbers that are not quantised", "pools directly behind a quantiser")
        return numbers

    def _max(self, step: Step, x: Sequence[Any]) -> Numbers:
        numbers = self._pooling(step, x[0])
        windows = windows_of(step, numbers.shape[2:])
        self.building.add(MaxPool(name=step.name, source=numbers.node, kernel=windows.kernel[0], stride=windows.stride))
        return numbers.moved(step.name, (*numbers.shape[:2], *windows.places(numbers.shape[2:])))

    def _average(self, step: Step, x: Sequence[Any]) -> Numbers:
        numbers, size = self._pooling(step, x[0]), x[0].shape[2:]
        return self._sums(step, numbers, whole_map(step, size) if "Global" in step.op else windows_of(step, size))

    def _sums(self, step: Step, numbers: Numbers, windows: Square) -> Numbers:
        self.building.add(SumPool(name=step.name, source=numbers.node, kernel=windows.kernel[0], stride=windows.stride))
        shape = (*numbers.shape[:2], *windows.places(numbers.shape[2:]))
        return numbers.averaged(step.name, shape, math.prod(windows.kernel))

    def _mean(self, step: Step, x: Sequence[Any]) -> Numbers:
        numbers, axes = self._pooling(step, x[0]), axes_of(step, x)
        step.get("noop_with_empty_axes", 0)
        if len(numbers.shape) != 4 or sorted(a % 4 for a in axes or ()) != [2, 3]:
            step.refuse(f"over the axes {axes}", "the mean over height and width, axes 2 and 3")
        found = self._sums(step, numbers, whole_map(step, numbers.shape[2:]))
        return found if step.get("keepdims", 1) else found.moved(found.node, found.shape[:2])

    def _flat(self, step: Step, x: Sequence[Any]) -> Numbers:
        numbers, shape = self._numbers(step, x[0]), self.reshaped(step, x)
        if shape == numbers.shape:
            return self.same(step, numbers)
        if math.prod(numbers.shape[2:]) == 1:
            return numbers.moved(numbers.node, shape)
        if not self.building.values(numbers.node):
            step.refuse("of numbers that are not quantised", "a quantiser before it")
        return self._flattened(step, numbers, shape)

    def _flattened(self, step: Step, numbers: Numbers, shape: tuple[int, ...]) -> Numbers:
        name = step.name if step.name not in self.building.nodes else f"{step.name} as a vector"
        self.building.add(Flatten(name=name, source=numbers.node))
        return numbers.flattened(name, shape, math.prod(numbers.shape[2:]))

    def _transposed(self, step: Step, x: Sequence[Any]) -> Any:
        if not isinstance(x[0], Quantised):
            step.refuse("of the tensor of an image", "images (N, C, H, W) all the way")
        return x[0].transposed(step)
