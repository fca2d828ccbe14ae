"""An ONNX graph of integers as a network: what its quantisers leave are integers times scales, and all between two of
them are thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ....ir.network import Network
from ....ir.ops import Flatten
from ...protocol import Pixels
from ..graph import Graph
from ..step import Step
from ..walk import Walk, no_result
from ..weights import batch_norm, by_channel
from .answer import readout, seen
from .building import Building
from .eight.qlinear import QLinear
from .eight.sums import Sums
from .eight.tensors import Eight
from .maps import Maps
from .numbers import Numbers
from .products import Products
from .quantisers import Quantised, Quantiser, quantised
from .quantising import Quantising
from .taken import Pending, taken
from .truncating import MultiThreshold, Trunc

__all__ = ["IntegerReader"]


class IntegerReader(Walk[Numbers]):
    """Reads a graph with quantisers, whose image is what a model sees of ``pixels``; ``approximate``, whether what
    no integers give exactly is taken as near as it can be, and said."""

    def __init__(self, graph: Graph, pixels: Pixels, approximate: bool = False) -> None:
        self.pixels, self.building = pixels, Building(graph.pixels, pixels.high, approximate)
        image, numbers = self.building.image, seen(self.building.image, graph, pixels)
        if len(graph.shape) == 2 and math.prod(graph.pixels[1:]) > 1:
            image = self.building.add(Flatten(name=f"{image} as a vector", source=image))
            numbers = numbers.flattened(image, graph.shape, math.prod(graph.pixels[1:]))
        super().__init__(graph, numbers.moved(image, graph.shape))
        self.products, self.maps = Products(self.building), Maps(self.building)
        self.quantising = Quantising(self.building)
        eight = Eight(self.quantising, Sums(self.building))
        self.qlinear = QLinear(eight, self.products, self.maps)
        own: dict[str, Callable[[Step, Sequence[Any]], Any]] = {
            "Quant": self._quant, "IntQuant": self._quant, "BipolarQuant": self._quant, "Trunc": self._quant,
            "MultiThreshold": self._quant, "MatMul": self._matmul, "Gemm": self._gemm, "Conv": self._conv,
            "Add": self._add, "Sub": self._moved, "Mul": self._moved, "Div": self._moved,
            "BatchNormalization": self._norm, "Relu": self._relu, "Clip": self._clip, "LeakyRelu": self._leaky,
            "Flatten": self._flat, "Reshape": self._flat, "Squeeze": self._flat, "Unsqueeze": self._flat,
            "Transpose": self._transposed, "Identity": self.passed, "Dropout": self.passed, "Cast": self.passed,
        }  # fmt: skip
        self.handlers = {**own, **self.maps.handlers, **eight.handlers, **self.qlinear.handlers}

    def network(self) -> Network:
        """The network. Raises UnsupportedLayer and NetworkError."""
        (answer,) = self.run()
        taken(next(step for step in self.graph.steps if self.graph.answer in step.outputs), answer, whole=True)
        return readout(self.building, answer, self.graph, self.pixels)

    def _quant(self, step: Step, x: Sequence[Any]) -> Any:
        if isinstance(x[0], np.ndarray | Quantised) and step.op not in ("Trunc", "MultiThreshold"):
            quantiser, constant = Quantiser.of(step, x[1:]), self._constant(x[0])
            if not np.isfinite(constant).all():
                step.refuse("of constants that are not finite", "finite ones")
            levels = quantiser.levels(constant) - quantiser.zero.astype(np.int64)
            return Quantised(levels, quantiser.scale.astype(np.float64))
        numbers = taken(step, x[0])
        quantiser = (MultiThreshold.of(step, x[1:], numbers.shape) if step.op == "MultiThreshold" else
                     (Trunc if step.op == "Trunc" else Quantiser).of(step, x[1:]))  # fmt: skip
        quantiser = quantiser.for_channels(step, numbers.shape)
        node, more = self.quantising.levels(step, step.name, numbers, quantiser)
        scale, zero = (v[:, 0] for v in quantiser.worth)
        return Numbers.levels(node, numbers.shape, self.building.reach(node), scale, more - zero)

    def _constant(self, x: Any) -> Any:
        if isinstance(x, Quantised):
            return x.floats
        return x.astype(np.float32) if isinstance(x, np.ndarray) else x

    def _bias(self, x: Sequence[Any]) -> Any:
        return x[2] if len(x) > 2 and isinstance(x[2], Quantised) else self._constant(x[2]) if len(x) > 2 else None

    def _matmul(self, step: Step, x: Sequence[Any]) -> Numbers:
        weights = quantised(step, x[1])
        return self.products.linear(step, taken(step, x[0]), weights.transposed_of(), None)

    def _gemm(self, step: Step, x: Sequence[Any]) -> Numbers:
        if step.get("transA", 0) or step.get("alpha", 1.0) != 1 or step.get("beta", 1.0) != 1:
            step.refuse("with transA, alpha or beta", "none of them")
        weights = quantised(step, x[1])
        if not step.get("transB", 0):
            weights = weights.transposed_of()
        return self.products.linear(step, taken(step, x[0]), weights, self._bias(x))

    def _conv(self, step: Step, x: Sequence[Any]) -> Numbers:
        return self.products.conv(step, taken(step, x[0]), quantised(step, x[1]), self._bias(x))

    def _add(self, step: Step, x: Sequence[Any]) -> Any:
        coded = [bool(v.code) if isinstance(v, Numbers) else isinstance(v, Quantised) and v.coded for v in x]
        if all(coded) and any(isinstance(v, Numbers) for v in x):  # tensors of 8 bits
            return self.qlinear.pending(step, *x)
        if isinstance(x[0], Numbers) and isinstance(x[1], Numbers):
            return self.products.add(step, *(taken(step, v, part=True) for v in x))
        return self._moved(step, x)

    def _moved(self, step: Step, x: Sequence[Any]) -> Numbers:
        """A constant that is added, taken off, multiplied or divided by."""
        if all(isinstance(v, Numbers | Pending) for v in x):
            no_result(step, "")
        k = 0 if isinstance(x[0], Numbers | Pending) else 1
        numbers = taken(step, x[k])
        constant = by_channel(step, self._constant(x[1 - k]), numbers.shape)
        if step.op == "Div" and (k or not constant.all()):
            step.refuse("by a tensor that depends on the image, or by 0", "division by a constant")
        return numbers.behind("From" if k and step.op == "Sub" else step.op, constant)

    def _norm(self, step: Step, x: Sequence[Any]) -> Numbers:
        numbers = taken(step, x[0])
        parts = [self._constant(v) for v in x[1:]]
        return numbers.behind("BatchNormalization", *batch_norm(step, parts, numbers.shape))

    def _relu(self, step: Step, x: Sequence[Any]) -> Any:
        return x[0].behind("Relu") if isinstance(x[0], Pending) else taken(step, x[0]).behind("Relu")

    def _leaky(self, step: Step, x: Sequence[Any]) -> Numbers:
        if not 0 <= (alpha := float(step.get("alpha", 0.01))) < math.inf:
            step.refuse(f"with alpha={alpha}", "0 or more")
        return taken(step, x[0]).behind("LeakyRelu", alpha)

    def _clip(self, step: Step, x: Sequence[Any]) -> Any:
        ends = [step.get(key, None) if len(x) <= k or x[k] is None else x[k] for k, key in ((1, "min"), (2, "max"))]
        if any(isinstance(end, Numbers | Pending) for end in ends):
            no_result(step, "")
        ends = [end.floats if isinstance(end, Quantised) else end for end in ends]
        if any(isinstance(end, np.ndarray) and end.size != 1 for end in ends):
            step.refuse("to ends that are no numbers", "constants")
        low, high = (default if end is None else float(np.asarray(end).reshape(()))
                     for end, default in zip(ends, (-math.inf, math.inf), strict=True))  # fmt: skip
        return (x[0] if isinstance(x[0], Pending) else taken(step, x[0])).behind("Clip", low, high)

    def _flat(self, step: Step, x: Sequence[Any]) -> Any:
        numbers, shape = taken(step, x[0], whole=True), self.reshaped(step, x)
        return self.same(step, numbers) if shape == numbers.shape else self.maps.flat(step, numbers, shape)

    def _transposed(self, step: Step, x: Sequence[Any]) -> Any:
        if not isinstance(x[0], Quantised):
            step.refuse("of the tensor of an image", "images (N, C, H, W) all the way")
        return x[0].transposed(step)
