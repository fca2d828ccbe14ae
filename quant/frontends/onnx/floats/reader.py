"""An ONNX graph of floats as a float graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...float_graph import FloatGraph
from ...layers import IMAGE, Flat, Heads, Layer, Norm, Sum, UnsupportedLayer, Weights
from ..graph import Graph
from ..step import Step
from ..walk import Walk, no_result
from ..weights import Normed, bias_of, by_channel, gemm, tensor_of
from ..windows import convolution_of, settings
from .activations import ACTIVATIONS, gated
from .made import Made
from .maps import MAPS

__all__ = ["FloatReader"]


class FloatReader(Walk[Made]):
    """Reads a graph without quantisers."""

    def __init__(self, graph: Graph) -> None:
        vector = len(graph.shape) == 2 and graph.pixels[1:] != (1, 1)
        super().__init__(graph, Made(self._first if vector else IMAGE, graph.shape))
        self.layers: dict[str, Layer] = {}
        if vector:
            self.layers[self._first] = Flat(self._first, (IMAGE,))
        made: dict[str, Callable[[Step, Sequence[Any]], Any]] = {
            op: partial(handler, self) for op, handler in {**ACTIVATIONS, **MAPS}.items()
        }
        self.handlers = made | {
            "Conv": self._conv, "Gemm": self._gemm, "MatMul": self._matmul, "Add": self._add, "Sum": self._add,
            "Sub": self._scaled, "Mul": self._scaled, "Div": self._scaled, "Neg": self._negative,
            "BatchNormalization": self._norm, "Identity": self.passed, "Dropout": self.passed, "Cast": self.passed,
        }  # fmt: skip

    _first = "image as a vector"

    def graph_of_floats(self) -> FloatGraph:
        """The float graph. Raises UnsupportedLayer and NetworkError."""
        answers = self.run()
        if any(answer.name == IMAGE or answer.part != (1, 1) for answer in answers):
            raise UnsupportedLayer(f"{self.graph.file}: a graph without weights is not supported; supported: layers")
        layers = list(self.layers.values())
        if not self.graph.maps:
            return FloatGraph.of(layers, answers[0].name, self.graph.pixels)
        names = {tensor: answer.name for tensor, answer in zip(self.graph.answers, answers, strict=True)}
        heads = Heads.of(list(dict.fromkeys(names.values())), self.layers)
        cut = [f"{c.output} is {c.operators} of {', '.join(names[a] for a in c.answers)}" for c in self.graph.cut]
        return FloatGraph.of([*layers, heads], heads.name, self.graph.pixels)._replace(cut=tuple(cut))

    def put(self, layer: Layer, shape: Sequence[int]) -> Made:
        """Take in a layer, under another name where its own is taken; what it gives has this ``shape``."""
        name, number = layer.name, 2
        while name in self.layers:
            name, number = f"{layer.name} ({number})", number + 1
        self.layers[name] = replace(layer, name=name)
        return Made(name, tuple(shape))

    def plain(self, step: Step, x: Any) -> Made:
        """``x`` as a whole tensor of the image. Raises UnsupportedLayer for a constant or a part."""
        if not isinstance(x, Made):
            step.refuse("of a constant", "the tensor of an image as its first input")
        if x.part != (1, 1):
            step.refuse(f"of every {x.part[0]}th row and {x.part[1]}th column", "the same stride in both directions")
        return x

    def alone(self, step: Step, k: int = 0) -> bool:
        """Whether ``step`` alone takes its input ``k``."""
        return self.graph.takers[step.inputs[k]] <= 1

    def _conv(self, step: Step, x: Sequence[Any]) -> Made:
        source = self.plain(step, x[0])
        if not isinstance(x[1], np.ndarray) or x[1].ndim != 4 or len(source.shape) != 4:
            step.refuse("of other than a map (N, C, H, W) and constant weights (Co, Ci, Ky, Kx)", "these")
        windows = convolution_of(step, source.shape[2:], x[1].shape[2:])
        weight, groups = tensor_of(step, x[1]), int(step.get("group", 1))
        if x[1].shape[1] * groups != source.shape[1] or groups < 1 or len(weight) % groups:
            of = f"of {source.shape[1]} channels with kernels of {x[1].shape[1]} in {groups} groups"
            step.refuse(of, "equal ones")
        bias = bias_of(step, x[2] if len(x) > 2 else None, weight)
        shape = (source.shape[0], len(weight), *windows.places(source.shape[2:]))
        return self.put(Weights(step.name, (source.name,), weight, bias, groups=groups, **settings(windows)), shape)

    def _gemm(self, step: Step, x: Sequence[Any]) -> Made:
        return self._linear(step, self.plain(step, x[0]), *gemm(step, x))

    def _matmul(self, step: Step, x: Sequence[Any]) -> Made:
        source = self.plain(step, x[0])
        if not isinstance(x[1], np.ndarray):
            no_result(step, "")
        weight = tensor_of(step, x[1].T)
        return self._linear(step, source, weight, torch.zeros(len(weight), dtype=weight.dtype))

    def _linear(self, step: Step, source: Made, weight: Tensor, bias: Tensor) -> Made:
        if len(source.shape) != 2 or weight.ndim != 2 or weight.shape[1] != source.shape[1]:
            step.refuse(f"of {source.shape} and weights {tuple(weight.shape)}", "vectors (N, features) "
                        "of as many numbers")  # fmt: skip
        if not bool(weight.isfinite().all() and bias.isfinite().all()):
            step.refuse("with weights that are not finite", "finite ones")
        return self.put(Weights(step.name, (source.name,), weight, bias), (source.shape[0], len(weight)))

    def _affine(self, step: Step, k: int, source: Made, normed: Normed) -> Made:
        """``normed`` of ``source``, input ``k``: part of the layer with weights that it comes from where ``step`` alone
        takes it, else a layer of its own."""
        layer = self.layers.get(source.name)
        if not isinstance(layer, Weights) or not self.alone(step, k):
            gain, shift = torch.from_numpy(normed.gain.copy()), torch.from_numpy(normed.shift.copy())
            if not bool(gain.isfinite().all() and shift.isfinite().all()):
                step.refuse("with factors that are not finite", "finite ones")
            return self.put(Norm(step.name, (source.name,), gain, shift), source.shape)
        weight, bias = normed.of(layer.weight, layer.bias)
        if not bool(weight.isfinite().all() and bias.isfinite().all()):
            step.refuse(f"that makes weights of {layer.name} that are not finite", "finite ones")
        self.layers[layer.name] = replace(layer, weight=weight, bias=bias)
        return source

    def _norm(self, step: Step, x: Sequence[Any]) -> Made:
        source = self.plain(step, x[0])
        return self._affine(step, 0, source, Normed.batch(step, x[1:], source.shape))

    def _add(self, step: Step, x: Sequence[Any]) -> Made:
        if not all(isinstance(v, Made) for v in x):
            return self._scaled(step, x)
        first, *others = (self.plain(step, v) for v in x)
        if not others:
            return self.same(step, first)
        for other in others:
            if first.shape != other.shape:
                step.refuse(f"of shapes {first.shape} and {other.shape}", "equal shapes")
            first = self.put(Sum(step.name, (first.name, other.name)), first.shape)
        return first

    def _negative(self, step: Step, x: Sequence[Any]) -> Made:
        source = self.plain(step, x[0])
        ones = np.ones(source.shape[1])
        return self._affine(step, 0, source, Normed(-ones, 0 * ones))

    def _scaled(self, step: Step, x: Sequence[Any]) -> Made:
        """A constant that is added, taken off, multiplied or divided by, per channel; a difference; x * sigmoid(x)."""
        if len(x) != 2:
            step.refuse(f"of {len(x)} tensors, constants among them", "two")
        if isinstance(x[0], Made) and isinstance(x[1], Made):
            return self._of_two(step, x)
        k = 0 if isinstance(x[0], Made) else 1
        source = self.plain(step, x[k])
        if k and step.op == "Div":
            step.refuse("by a tensor that depends on the image", "division by a constant")
        constant = by_channel(step, x[1 - k], source.shape).astype(np.float64)
        ones, zeros = np.ones_like(constant), np.zeros_like(constant)
        gain, shift = {"Add": (ones, constant), "Sum": (ones, constant),
                       "Sub": (-ones, constant) if k else (ones, -constant), "Mul": (constant, zeros),
                       "Div": (1 / np.where(constant == 0, np.nan, constant), zeros)}[step.op]  # fmt: skip
        return self._affine(step, k, source, Normed(gain, shift))

    def _of_two(self, step: Step, x: Sequence[Any]) -> Made:
        one, other = (self.plain(step, v) for v in x)
        if step.op == "Sub":
            if one.shape != other.shape:
                step.refuse(f"of shapes {one.shape} and {other.shape}", "equal shapes")
            ones = torch.ones(other.shape[1], dtype=torch.float64)
            less = self.put(Norm(f"{step.name} negative", (other.name,), -ones, 0 * ones), other.shape)
            return self.put(Sum(step.name, (one.name, less.name)), one.shape)
        made = gated(self, step, x) if step.op == "Mul" else None
        return no_result(step, ", but for x * sigmoid(x),") if made is None else made
