"""An ONNX file, read with bounds: what is damaged, or larger than a network may be, is refused before it is opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ...ir.bounds import MOST_PARAMETERS

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

__all__ = ["MOST_BYTES", "MOST_STEPS", "OPSETS", "OnnxError", "load"]

MOST_BYTES = 4 * MOST_PARAMETERS
"""The most bytes of a file and of those with its weights: single floats for all that a network may hold."""

MOST_STEPS = 20_000
"""The most operators of a graph."""

OPSETS = range(7, 27)
"""Versions of the ONNX operators that are read."""


class OnnxError(ValueError):
    """A file that is no ONNX file, is damaged or too large; the message names the file and the remedy."""


def load(path: Path) -> ModelProto:
    """The model in the file ``path``, its weights in other files read too. Raises OnnxError, and OSError where a file
    cannot be read."""
    import onnx

    size = path.stat().st_size
    if size > MOST_BYTES:
        raise OnnxError(f"{path}: has {size:,} bytes, supported: {MOST_BYTES:,}; export a smaller network")
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except Exception as error:  # DecodeError, of whichever protobuf is installed
        raise OnnxError(f"{path}: is no ONNX file, or a damaged one ({error}); export it again") from None
    if not all(isinstance(text, str) for text in _texts(model)):  # bytes, where they are no text
        raise OnnxError(f"{path}: is no ONNX file, or a damaged one (it has names that are no text); export it again")
    if not model.ir_version or not model.graph.node:
        raise OnnxError(f"{path}: is no ONNX file, or a damaged one (it has no operators); export it again")
    if len(model.graph.node) > MOST_STEPS:
        raise OnnxError(f"{path}: has {len(model.graph.node):,} operators, supported: {MOST_STEPS:,}")
    if len(model.functions):
        raise OnnxError(
            f"{path}: has functions of its own, as {model.functions[0].name}; inline them first "
            "(onnx.inliner.inline_local_functions)"
        )
    if len(model.graph.sparse_initializer):
        raise OnnxError(f"{path}: has sparse weights, supported: dense ones")
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if opset not in OPSETS:
        raise OnnxError(
            f"{path}: has the operators of opset {opset}, supported: {OPSETS[0]} to {OPSETS[-1]}; export it with "
            "one of these, or convert it (onnx.version_converter)"
        )
    _outside(model, path)
    return model


def _outside(model: ModelProto, path: Path) -> None:
    """Read the weights that lie in files beside ``path``."""
    from onnx import TensorProto
    from onnx.external_data_helper import load_external_data_for_tensor

    left = MOST_BYTES
    for tensor in _tensors(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        place = entries.get("location", "")
        if not place or Path(place).name != place:
            raise OnnxError(f"{path}: {tensor.name} lies in {place!r}, supported: a file in the folder of {path.name}")
        beside = path.parent / place
        if not beside.is_file():
            raise OnnxError(f"{path}: its weights lie in {beside}, which is not there; keep both files together")
        length = entries.get("length", "")
        left -= int(length) if length.isdecimal() else beside.stat().st_size
        if left < 0:
            raise OnnxError(f"{path}: its weights have more than {MOST_BYTES:,} bytes; export a smaller network")
        try:
            load_external_data_for_tensor(tensor, str(path.parent))
        except Exception as error:  # of many kinds: lengths, offsets, links
            raise OnnxError(f"{path}: {tensor.name} cannot be read from {beside} ({error}); export it again") from None
        tensor.data_location = TensorProto.DEFAULT


def _texts(model: ModelProto) -> Iterator[str]:
    for opset in model.opset_import:
        yield opset.domain
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        yield value.name
    for node in model.graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
