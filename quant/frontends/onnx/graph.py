"""An ONNX graph with one image and one answer: its operators in their order, its constants as arrays."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ...ir.bounds import LONGEST_NAME, MOST_ELEMENTS, NetworkError
from ..layers import UnsupportedLayer, refuse
from .file import OnnxError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, ValueInfoProto

__all__ = ["DOMAINS", "FLOATS", "QONNX", "STANDARD", "Graph", "Step"]

QONNX = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
"""Domains of the operators of QONNX, the newest first."""

STANDARD = ("", "ai.onnx")
"""Domains of the operators of ONNX itself."""

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


@dataclass
class Step:
    """An operator ``op``, with the names of the tensors that it takes (empty: left out) and gives. ``name`` is that of
    the node, or of its first output."""

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    _read: set[str] = field(default_factory=set)

    def get(self, attribute: str, default: Any) -> Any:
        """The value of an attribute, which is then known."""
        self._read.add(attribute)
        return self.attributes.get(attribute, default)

    def number(self, attribute: str, default: float) -> float:
        """The value of an attribute that is a number. Raises UnsupportedLayer for others."""
        found = self.get(attribute, default)
        if not isinstance(found, int | float):
            self.refuse(f"with {attribute}={found!r:.60}", "a number")
        return float(found)

    def all_read(self) -> None:
        """Raise UnsupportedLayer for an attribute that nothing asked for."""
        if left := sorted(set(self.attributes) - self._read):
            refuse(self.name, f"{self.op} with {left[0]}={self.attributes[left[0]]!r:.60}", f"{self.op} without it")

    def refuse(self, what: str, instead: str) -> NoReturn:
        """Raise UnsupportedLayer."""
        refuse(self.name, f"{self.op} {what}".rstrip(), instead)


@dataclass(frozen=True)
class Graph:
    """``steps`` that lead to the tensor ``answer`` from the tensor ``image`` of ``shape`` (N, C, H, W) or (N, C), for
    images of ``pixels`` (C, H, W); ``constants`` by name; ``takers``, how many steps take a tensor (the answer is taken
    once more). ``quantised``, whether there are quantisers. ``file``, its name."""

    steps: tuple[Step, ...]
    image: str
    shape: tuple[int, ...]
    pixels: tuple[int, int, int]
    answer: str
    constants: dict[str, np.ndarray]
    takers: Counter[str]
    quantised: bool
    file: str

    @classmethod
    def of(cls, model: ModelProto, file: str, given: tuple[int, int, int] | None) -> Graph:
        """The graph of ``model``, of the ``file`` of this name; ``given``, the shape of an image that its user says.
        Raises OnnxError and UnsupportedLayer."""
        graph = model.graph
        constants = {tensor.name: _array(tensor, file) for tensor in graph.initializer}
        images = [value for value in graph.input if value.name not in constants]
        if len(images) != 1 or len(graph.output) != 1:
            ins, outs = (", ".join(v.name for v in values) or "none" for values in (images, graph.output))
            raise UnsupportedLayer(
                f"{file}: inputs {ins} and outputs {outs} are not supported; supported: one image and one output, the "
                "logits"
            )
        shape = _image(images[0], given, file)
        if (kind := images[0].type.tensor_type.elem_type) not in FLOATS:
            raise UnsupportedLayer(f"{images[0].name}: an image of the type {kind} is not supported; supported: single "
                                   "floats (1)")  # fmt: skip
        names: Counter[str] = Counter()
        opset = next(entry.version for entry in model.opset_import if entry.domain in STANDARD)
        steps = [_step(node, names, file, opset) for node in graph.node]
        needed, kept = {graph.output[0].name}, list[Step]()
        for step in reversed(steps):  # what leads to no output is no part of the network
            if needed.intersection(step.outputs):
                needed.update(step.inputs)
                kept.append(step)
        kept.reverse()
        takers = Counter(name for step in kept for name in step.inputs if name)
        takers[graph.output[0].name] += 1
        if plain := next((step for step in kept if step.op in DYNAMIC), None):
            plain.refuse("of a graph that is quantised while it runs", "static scales, as "
                         "onnxruntime.quantization.quantize_static writes them, or floats")  # fmt: skip
        c, h, w = (*shape[1:], 1, 1)[:3]
        pixels = given if len(shape) == 2 and given else (c, h, w)
        quantised = any(step.op in DOMAINS for step in kept)
        return cls(tuple(kept), images[0].name, shape, pixels, graph.output[0].name, constants, takers, quantised, file)


def _array(tensor: Any, file: str) -> np.ndarray:
    from onnx.numpy_helper import to_array

    try:
        return np.array(to_array(tensor))
    except Exception as error:  # of many kinds: sizes, types
        raise OnnxError(f"{file}: the tensor {tensor.name!r} is damaged ({error}); export it again") from None


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


def _step(node: NodeProto, names: Counter[str], file: str, opset: int) -> Step:
    """The operator of ``node``, with a name that no other has and that can stand in reports."""
    from onnx import AttributeProto
    from onnx.helper import get_attribute_value

    name = node.name or next(iter(filter(None, node.output)), "")
    if not name or not name.isprintable() or len(name) > LONGEST_NAME - 10:
        name = node.op_type if node.op_type.isidentifier() else "operator"
    first = name
    while names[name]:
        names[first] += 1
        name = f"{first}.{names[first]}"
    names[name] += 1
    if node.domain in STANDARD:
        _check(node, name, file, opset)
    attributes = dict[str, Any]()
    for attribute in node.attribute:
        found = get_attribute_value(attribute)
        if attribute.type == AttributeProto.TENSOR:
            found = _array(attribute.t, file)
        attributes[attribute.name] = found.decode(errors="replace") if isinstance(found, bytes) else found
    return Step(name, node.op_type, node.domain, tuple(node.input), tuple(node.output), attributes)


def _check(node: NodeProto, name: str, file: str, opset: int) -> None:
    """Raise OnnxError where an operator of ONNX has inputs or attributes that none such has."""
    from onnx.defs import OpSchema, SchemaError, get_schema

    try:
        schema = get_schema(node.op_type, opset)
    except SchemaError:
        return  # the reader does not know it either
    needed = [entry for entry in schema.inputs if entry.option == OpSchema.FormalParameterOption.Single]
    fits = schema.min_input <= len(node.input) <= schema.max_input and all(node.input[: len(needed)])
    for attribute in node.attribute:
        known: Any = schema.attributes.get(attribute.name)
        if known is not None and int(known.type) != attribute.type:
            raise OnnxError(f"{file}: {name}: the attribute {attribute.name} of {node.op_type} is of the wrong type; "
                            "export it again")  # fmt: skip
    if not fits or not node.output:
        raise OnnxError(f"{file}: {name}: {node.op_type} of {len(node.input)} inputs is damaged; export it again")
