"""An ONNX graph of floats as a float graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ...float_graph import FloatGraph
from ...layers import IMAGE, Activation, Flat, Layer, Pool, Sum, UnsupportedLayer, Weights
from ..constants import axes_of
from ..graph import Graph, Step
from ..walk import Walk, no_result
from ..weights import Normed, bias_of, by_channel, gemm, tensor_of
from ..windows import Square, whole_map, windows_of

__all__ = ["FloatReader"]


@dataclass(frozen=True)
class Made:
    """The tensor of ``shape`` that the layer ``name`` gives, with ``pad`` zeros around it."""

    name: str
    shape: tuple[int, ...]
    pad: int = 0


class FloatReader(Walk[Made]):
    """Reads a graph without quantisers."""

    def __init__(self, graph: Graph) -> None:
        vector = len(graph.shape) == 2 and graph.pixels[1:] != (1, 1)
        super().__init__(graph, Made(self._first if vector else IMAGE, graph.shape))
        self.layers: dict[str, Layer] = {}
        if vector:
            self.layers[self._first] = Flat(self._first, (IMAGE,))
        self.handlers = {
            "Conv": self._conv, "Gemm": self._gemm, "MatMul": self._matmul, "Add": self._add, "Sub": self._scaled,
            "Mul": self._scaled, "Div": self._scaled, "BatchNormalization": self._norm, "Relu": self._relu,
            "Clip": self._clip, "MaxPool": self._pool, "AveragePool": self._pool, "GlobalAveragePool": self._pool,
            "GlobalMaxPool": self._pool, "ReduceMean": self._mean, "Flatten": self._flat, "Reshape": self._flat,
            "Squeeze": self._flat, "Unsqueeze": self._flat, "Pad": self._pad, "Identity": self.passed,
            "Dropout": self.passed, "Cast": self.passed,
        }  # fmt: skip

    _first = "image as a vector"

    def graph_of_floats(self) -> FloatGraph:
        """The float graph. Raises UnsupportedLayer and NetworkError."""
        answer = self.run()
        if answer.name == IMAGE:
            raise UnsupportedLayer(f"{self.graph.file}: a graph without weights is not supported; supported: layers")
        return FloatGraph.of(list(self.layers.values()), answer.name, self.graph.pixels)

    def _layer(self, step: Step, layer: Layer, shape: Sequence[int]) -> Made:
        self.layers[layer.name] = layer
        return Made(layer.name, tuple(shape))

    def _plain(self, step: Step, x: Any) -> Made:
        """A tensor of the image without a Pad before it."""
        if isinstance(x, Made) and x.pad:
            step.refuse("of padded numbers", "a Conv alone behind a Pad")
        if not isinstance(x, Made):
            step.refuse("of a constant", "the tensor of an image as its first input")
        return x

    def _conv(self, step: Step, x: Sequence[Any]) -> Made:
        if not isinstance(x[1], np.ndarray) or x[1].ndim != 4 or len(x[0].shape) != 4:
            step.refuse("of other than a map (N, C, H, W) and constant weights (Co, Ci, Ky, Kx)", "these")
        windows = windows_of(step, x[0].shape[2:], x[1].shape[2:], x[0].pad)
        weight, groups = tensor_of(step, x[1]), int(step.get("group", 1))
        if x[1].shape[1] * groups != x[0].shape[1] or groups < 1 or len(weight) % groups:
            step.refuse(f"of {x[0].shape[1]} channels with kernels of {x[1].shape[1]} in {groups} groups", "equal ones")
        bias = bias_of(step, x[2] if len(x) > 2 else None, weight)
        shape = (x[0].shape[0], len(weight), *windows.places(x[0].shape[2:]))
        layer = Weights(step.name, (x[0].name,), weight, bias, windows.stride, windows.padding, groups)
        return self._layer(step, layer, shape)

    def _gemm(self, step: Step, x: Sequence[Any]) -> Made:
        source = self._plain(step, x[0])
        weight, bias = gemm(step, x)
        return self._linear(step, source, weight, bias)

    def _matmul(self, step: Step, x: Sequence[Any]) -> Made:
        source = self._plain(step, x[0])
        if not isinstance(x[1], np.ndarray):
            no_result(step, "")
        weight = tensor_of(step, x[1].T)
        return self._linear(step, source, weight, torch.zeros(len(weight), dtype=weight.dtype))

    def _linear(self, step: Step, source: Made, weight: torch.Tensor, bias: torch.Tensor) -> Made:
        if len(source.shape) != 2 or weight.ndim != 2 or weight.shape[1] != source.shape[1]:
            step.refuse(f"of {source.shape} and weights {tuple(weight.shape)}", "vectors (N, features) "
                        "of as many numbers")  # fmt: skip
        if not bool(weight.isfinite().all() and bias.isfinite().all()):
            step.refuse("with weights that are not finite", "finite ones")
        shape = (source.shape[0], len(weight))
        return self._layer(step, Weights(step.name, (source.name,), weight, bias), shape)

    def _weights(self, step: Step, source: Made, name: str) -> Weights:
        """The layer with weights that ``source`` comes from and that alone takes it, to fold ``step`` into."""
        layer = self.layers.get(source.name)
        if not isinstance(layer, Weights) or self.graph.takers[name] > 1:
            step.refuse("that is not directly behind a Conv, Gemm or MatMul of its own", "one there; numbers that the "
                        "model takes off its images are --mean and --std, not part of the model")  # fmt: skip
        return layer

    def _folded(self, step: Step, source: Made, name: str, normed: Normed) -> Made:
        layer = self._weights(step, source, name)
        weight, bias = normed.of(layer.weight, layer.bias)
        if not bool(weight.isfinite().all() and bias.isfinite().all()):
            step.refuse(f"that makes weights of {layer.name} that are not finite", "finite ones")
        self.layers[layer.name] = replace(layer, weight=weight, bias=bias)
        return source

    def _norm(self, step: Step, x: Sequence[Any]) -> Made:
        source = self._plain(step, x[0])
        return self._folded(step, source, step.inputs[0], Normed.batch(step, x[1:], source.shape))

    def _add(self, step: Step, x: Sequence[Any]) -> Made:
        if isinstance(x[0], Made) and isinstance(x[1], Made):
            one, other = (self._plain(step, v) for v in x)
            if one.shape != other.shape:
                step.refuse(f"of shapes {one.shape} and {other.shape}", "equal shapes")
            if one.name == other.name:
                step.refuse(f"of {one.name or 'the image'} and itself", "two different tensors")
            return self._layer(step, Sum(step.name, (one.name, other.name)), one.shape)
        return self._scaled(step, x)

    def _scaled(self, step: Step, x: Sequence[Any]) -> Made:
        """A constant that is added, taken off, multiplied or divided by, per channel."""
        if isinstance(x[0], Made) and isinstance(x[1], Made):
            no_result(step, "")
        k = 0 if isinstance(x[0], Made) else 1
        source = self._plain(step, x[k])
        if k and step.op == "Div":
            step.refuse("by a tensor that depends on the image", "division by a constant")
        constant = by_channel(step, x[1 - k], source.shape).astype(np.float64)
        ones, zeros = np.ones_like(constant), np.zeros_like(constant)
        gain, shift = {"Add": (ones, constant), "Sub": (-ones, constant) if k else (ones, -constant),
                       "Mul": (constant, zeros), "Div": (1 / np.where(constant == 0, np.nan, constant), zeros),
                       }[step.op]  # fmt: skip
        return self._folded(step, source, step.inputs[k], Normed(gain, shift))

    def _relu(self, step: Step, x: Sequence[Any]) -> Made:
        source = self._plain(step, x[0])
        return self._layer(step, Activation(step.name, (source.name,), None), source.shape)

    def _clip(self, step: Step, x: Sequence[Any]) -> Made:
        low, high = (step.get(key, None) if len(x) <= k or x[k] is None else x[k]
                     for k, key in ((1, "min"), (2, "max")))  # fmt: skip
        if low is None or isinstance(low, Made) or float(low) or (high is not None and float(high) < 3e38):
            step.refuse(f"to {low}..{high}", "Relu, or Clip with min=0 and no max")
        return self._relu(step, x)

    def _pool(self, step: Step, x: Sequence[Any]) -> Made:
        source, size = self._plain(step, x[0]), x[0].shape[2:]
        whole = step.op.startswith("Global")
        return self._pooled(step, source, whole_map(step, size) if whole else windows_of(step, size))

    def _pooled(self, step: Step, source: Made, windows: Square) -> Made:
        kind = "max" if "Max" in step.op else "average"
        layer = Pool(step.name, (source.name,), kind, windows.kernel[0], windows.stride)
        return self._layer(step, layer, (*source.shape[:2], *windows.places(source.shape[2:])))

    def _mean(self, step: Step, x: Sequence[Any]) -> Made:
        source, axes = self._plain(step, x[0]), axes_of(step, x)
        step.get("noop_with_empty_axes", 0)
        if len(source.shape) != 4 or sorted(a % 4 for a in axes or ()) != [2, 3]:
            step.refuse(f"over the axes {axes}", "the mean over height and width, axes 2 and 3")
        made = self._pooled(step, source, whole_map(step, source.shape[2:]))
        if step.get("keepdims", 1):
            return made
        return self._layer(step, Flat(f"{step.name} as a vector", (made.name,)), made.shape[:2])

    def _flat(self, step: Step, x: Sequence[Any]) -> Made:
        source, shape = self._plain(step, x[0]), self.reshaped(step, x)
        if shape == source.shape:
            return self.same(step, source)
        return self._layer(step, Flat(step.name, (source.name,)), shape)

    def _pad(self, step: Step, x: Sequence[Any]) -> Made:
        pads = step.get("pads", None) if len(x) < 2 else x[1]
        mode, value = step.get("mode", "constant"), step.get("value", 0.0) if len(x) < 3 or x[2] is None else x[2]
        pads = [] if pads is None or isinstance(pads, Made) else np.asarray(pads).tolist()
        if len(x) > 3 and x[3] is not None and len(pads) == 4 and [a % 4 for a in x[3].tolist()] == [2, 3]:
            pads = [0, 0, *pads[:2], 0, 0, *pads[2:]]
        around = {pads[k] for k in (2, 3, 6, 7)} if len(pads) == 8 and not any(pads[:2] + pads[4:6]) else {-1}
        if mode != "constant" or float(value) or len(around) != 1 or min(around) < 0:
            step.refuse(f"with pads={pads}, mode={mode!r}", "the same number of zeros on all four sides of a map")
        return replace(x[0], pad=x[0].pad + int(around.pop()))
