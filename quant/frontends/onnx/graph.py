"""An ONNX graph of one image: its operators in their order, its constants as arrays."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...ir.bounds import MOST_ELEMENTS, NetworkError
from ..layers import UnsupportedLayer
from .file import OnnxError
from .step import STANDARD, Step, array_of, step_of
from .tails import Cut, Tails

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

__all__ = ["DOMAINS", "FLOATS", "QONNX", "Graph"]

QONNX = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
"""Domains of the operators of QONNX, the newest first."""

FLOATS = (1,)
"""Types, as ONNX numbers them, of images and of what is computed from them: single floats."""

MICROSOFT = "com.microsoft"
"""Domain of the operators of ONNX Runtime."""

DOMAINS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Quant", "IntQuant", "BipolarQuant", "Trunc", "MultiThreshold"), QONNX),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), (*STANDARD, MICROSOFT)),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul"), STANDARD),
    **dict.fromkeys(("QGemm", "QLinearAdd", "QLinearAveragePool", "QLinearConcat", "QLinearGlobalAveragePool",
                     "QLinearLeakyRelu", "QLinearMul", "QLinearSigmoid", "QLinearSoftmax"), (MICROSOFT,)),
}  # fmt: skip
"""The domains of operators that quantise, or work on integers of 8 bits; others are in :data:`STANDARD`."""

DYNAMIC = ("ConvInteger", "MatMulInteger", "DynamicQuantizeLinear")
"""Operators whose scales depend on the image."""


@dataclass(frozen=True)
class Graph:
    """``steps`` that lead to the tensors ``answers`` from the tensor ``image`` of ``shape`` (N, C, H, W) or (N, C), for
    images of ``pixels`` (C, H, W); ``constants`` by name; ``takers``, how many steps take a tensor (an answer is taken
    once more). ``maps``, whether the answers are maps, or one vector of logits; ``cut``, what laid out these maps for a
    reader and is left out (:mod:`~.tails`). ``quantised``, whether there are quantisers. ``file``, its name."""

    steps: tuple[Step, ...]
    image: str
    shape: tuple[int, ...]
    pixels: tuple[int, int, int]
    answers: tuple[str, ...]
    constants: dict[str, np.ndarray]
    takers: Counter[str]
    quantised: bool
    file: str
    maps: bool = False
    cut: tuple[Cut, ...] = ()

    @property
    def answer(self) -> str:
        """The tensor of the logits, empty where there are maps."""
        return "" if self.maps else self.answers[0]

    @classmethod
    def of(cls, model: ModelProto, file: str, given: tuple[int, int, int] | None) -> Graph:
        """The graph of ``model``, of the ``file`` of this name; ``given``, the shape of an image that its user says.
        Raises OnnxError and UnsupportedLayer."""
        graph = model.graph
        constants = {tensor.name: array_of(tensor, file) for tensor in graph.initializer}
        images = [value for value in graph.input if value.name not in constants]
        outputs = [value.name for value in graph.output]
        if len(images) != 1 or not outputs or len(set(outputs)) != len(outputs):
            ins, outs = (", ".join(names) or "none" for names in ([v.name for v in images], outputs))
            raise UnsupportedLayer(
                f"{file}: inputs {ins} and outputs {outs} are not supported; supported: one image, and one output, the "
                "logits, or maps of different names"
            )
        shape = _image(images[0], given, file)
        if (kind := images[0].type.tensor_type.elem_type) not in FLOATS:
            raise UnsupportedLayer(f"{images[0].name}: an image of the type {kind} is not supported; supported: single "
                                   "floats (1)")  # fmt: skip
        names: Counter[str] = Counter()
        opset = next(entry.version for entry in model.opset_import if entry.domain in STANDARD)
        steps = [step_of(node, names, file, opset, constants) for node in graph.node]
        needed, kept = set(outputs), list[Step]()
        for step in reversed(steps):  # what leads to no output is no part of the network
            if needed.intersection(step.outputs):
                needed.update(step.inputs)
                kept.append(step)
        kept.reverse()
        quantised = any(step.op in DOMAINS for step in kept)
        if quantised and len(outputs) > 1:
            raise UnsupportedLayer(f"{file}: outputs {', '.join(outputs)} of a file of integers are not supported; "
                                   "supported: one output, the logits, or a file of floats")  # fmt: skip
        maps = not quantised and (len(outputs) > 1 or _rank(graph.output[0]) not in (None, 2))
        found = Tails(tuple(kept), tuple(outputs), ())
        if maps:
            found = Tails.of(kept, outputs, constants, images[0].name)
        takers = Counter(name for step in found.steps for name in step.inputs if name)
        takers.update(found.answers)
        if plain := next((step for step in kept if step.op in DYNAMIC), None):
            plain.refuse("of a graph that is quantised while it runs", "static scales, as "
                         "onnxruntime.quantization.quantize_static writes them, or floats")  # fmt: skip
        c, h, w = (*shape[1:], 1, 1)[:3]
        pixels = given if len(shape) == 2 and given else (c, h, w)
        return cls(found.steps, images[0].name, shape, pixels, found.answers, constants, takers, quantised, file, maps,
                   found.cut)  # fmt: skip


def _rank(value: ValueInfoProto) -> int | None:
    """How many dimensions a tensor has, None where the file does not say it."""
    kind = value.type.tensor_type
    return len(kind.shape.dim) if kind.HasField("shape") else None


def _image(value: ValueInfoProto, given: tuple[int, int, int] | None, file: str) -> tuple[int, ...]:
    """The shape of the image with its batch, where the file leaves it open that of the user."""
    dims = [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else 0 for d in value.type.tensor_type.shape.dim]
    if len(dims) not in (2, 4):
        raise UnsupportedLayer(f"{value.name}: an input of {len(dims)} dimensions is not supported; supported: images "
                               "(N, C, H, W) or vectors (N, features)")  # fmt: skip
    batch, sizes = dims[0] or 1, dims[1:]
    wanted = list(given) if given and len(sizes) == 3 else [int(np.prod(given))] if given else sizes
    if not all(wanted):
        raise OnnxError(f"{file}: leaves the shape of {value.name} open; say it (--input-shape C,H,W), or give images")
    if any(size not in (0, other) for size, other in zip(sizes, wanted, strict=True)):
        raise NetworkError(f"{file}: {value.name} has shape {'x'.join(map(str, sizes))}, but images are "
                           f"{'x'.join(map(str, given or ()))}; export it for such images, or cut them")  # fmt: skip
    if batch * int(np.prod(wanted)) > MOST_ELEMENTS:
        raise OnnxError(f"{file}: {value.name} has {batch * int(np.prod(wanted)):,} numbers, supported: "
                        f"{MOST_ELEMENTS:,}; cut the images")  # fmt: skip
    return batch, *wanted
