"""An operator of an ONNX graph: what it takes and gives, its attributes, each of which must be asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ...ir.bounds import LONGEST_NAME
from ..layers import refuse
from .file import OnnxError

if TYPE_CHECKING:
    from onnx import NodeProto

__all__ = ["STANDARD", "Step", "array_of", "step_of"]

STANDARD = ("", "ai.onnx")
"""Domains of the operators of ONNX itself."""


@dataclass
class Step:
    """An operator ``op``, with the names of the tensors that it takes (empty: left out) and gives. ``name`` is that of
    the node, else of the module that its weights are called after, or of its first output."""

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


def array_of(tensor: Any, file: str) -> np.ndarray:
    """The array of a tensor of the ``file``. Raises OnnxError for a damaged one."""
    from onnx.numpy_helper import to_array

    try:
        return np.array(to_array(tensor))
    except Exception as error:  # of many kinds: sizes, types
        raise OnnxError(f"{file}: the tensor {tensor.name!r} is damaged ({error}); export it again") from None


def step_of(node: NodeProto, names: Counter[str], file: str, opset: int, constants: Collection[str]) -> Step:
    """The operator of ``node``, with a name that no other of the ``file`` has and that can stand in reports; ``names``
    counts those that are taken, ``constants`` are the weights. Raises OnnxError for a damaged one."""
    from onnx import AttributeProto
    from onnx.helper import get_attribute_value

    name = node.name or _module(node, constants) or next(iter(filter(None, node.output)), "")
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
            found = array_of(attribute.t, file)
        attributes[attribute.name] = found.decode(errors="replace") if isinstance(found, bytes) else found
    return Step(name, node.op_type, node.domain, tuple(node.input), tuple(node.output), attributes)


def _module(node: NodeProto, constants: Collection[str]) -> str:
    """The module of PyTorch whose weights a node without a name takes, empty where nothing says it."""
    weights = [name for name in node.input if name in constants and name.endswith(".weight")]
    return weights[0].removesuffix(".weight") if weights else ""


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
