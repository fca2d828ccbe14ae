"""Tensors of 8 bits: QuantizeLinear and DequantizeLinear, and what scales and zero points of a file say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...step import Step
from ..numbers import Code, Numbers, Part, Rise
from ..quantisers import Quantised, Quantiser
from ..quantising import Quantising
from ..taken import Pending, taken
from .sums import Sums

__all__ = ["Eight", "code_of"]

TYPES = {"int8": (-128, 127), "uint8": (0, 255)}
"""The ends of the types of integers that values may have."""

NUMBERED = {2: "uint8", 3: "int8"}
"""As ONNX numbers them."""


def code_of(step: Step, scale: Any, zero: Any, kind: int = 0) -> Code:
    """The code of a tensor of the image by the constants ``scale`` and ``zero``, whose type is that of the tensor;
    where there is none it is ``kind``, or uint8. Raises UnsupportedLayer for more than one scale, or other types."""
    if not isinstance(scale, np.ndarray) or not isinstance(zero, np.ndarray | None):
        step.refuse("without constants for scale and zero point", "constants")
    if scale.size != 1 or (zero is not None and zero.size != 1):
        step.refuse(f"with {scale.size} scales for the values of a tensor", "one scale and one zero point")
    found = np.float32(scale.reshape(())[()])
    name = NUMBERED.get(kind or 2, f"type {kind}") if zero is None else str(zero.dtype)
    if name not in TYPES or (kind and NUMBERED.get(kind) != name):
        step.refuse(f"of {name}", "int8 and uint8")
    if not np.isfinite(found) or found <= 0:
        step.refuse("with a scale that is not positive", "positive scales")
    return Code(found, 0 if zero is None else int(zero.reshape(())), *TYPES[name])


class Eight:
    """Reads QuantizeLinear and DequantizeLinear: values are q - zero, so that 0 is 0."""

    def __init__(self, quantising: Quantising, sums: Sums) -> None:
        self.quantising, self.sums = quantising, sums
        self.handlers = {"QuantizeLinear": self._quantise, "DequantizeLinear": self._dequantise}

    def _quantise(self, step: Step, x: Sequence[Any]) -> Any:
        kind, axis = step.get("output_dtype", 0), step.get("axis", 1)
        _plain(step)
        scale, zero = _constants(step, x)
        if isinstance(x[0], np.ndarray):  # of weights: a pair of quantisers
            return _of_constants(step, x[0], scale, zero, axis, kind)
        return self.coded(step, step.name, x[0], code_of(step, scale, zero, kind))

    def coded(self, step: Step, name: str, x: Any, code: Code) -> Numbers:
        """The integers of 8 bits of ``x``, in ``code``; ``name`` is that of a new node."""
        if isinstance(x, Pending):
            node, numbers, more = self.sums.levels(step, name, x, code), x.one, np.zeros(1)
            found = Numbers.of(node, x.shape, self.quantising.building.reach(node))
        else:
            numbers = taken(step, x, part=True)
            before, quantiser = _requantised(numbers, code)
            node, more = self.quantising.levels(step, name, before, quantiser.for_channels(step, numbers.shape))
            found = Numbers.of(node, numbers.shape, self.quantising.building.reach(node))
            found = replace(found, part=numbers.part if node == numbers.node else Part())
        return replace(found, offset=np.broadcast_to(more + code.zero, found.offset.shape), whole=True)

    def _dequantise(self, step: Step, x: Sequence[Any]) -> Any:
        axis = step.get("axis", 1)
        if step.get("output_dtype", 1) not in (0, 1):
            step.refuse(f"to the type {step.get('output_dtype', 1)}", "single floats (1)")
        _plain(step)
        scale, zero = _constants(step, x)
        if isinstance(x[0], np.ndarray):
            return levels_of(step, x[0], scale, zero, axis)
        return self.floats(step, x[0], code_of(step, scale, zero))

    def floats(self, step: Step, x: Any, code: Code) -> Numbers:
        """What the integers of 8 bits ``x`` stand for, by ``code``."""
        numbers = taken(step, x, whole=True, part=True)
        if not numbers.whole:
            step.refuse("of floats", "integers of 8 bits, QuantizeLinear before it")
        unit = np.float64(code.scale)
        found = Numbers.levels(numbers.node, numbers.shape, numbers.reach, np.full(1, unit), numbers.offset - code.zero)
        return replace(found, part=numbers.part, code=code)


def levels_of(step: Step, array: Any, scale: Any, zero: Any, axis: int = 0) -> Quantised:
    """Constants ``array`` of integers, with a scale and a zero point for all, or for each index of the ``axis``."""
    if not isinstance(array, np.ndarray) or not isinstance(scale, np.ndarray):
        step.refuse("without constants for weights and scales", "constants")
    name = str(array.dtype)
    if name not in TYPES and name != "int32":
        step.refuse(f"of constants of {name}", "integers of 8 bits, biases of 32")
    zeros = np.zeros(1, np.int64) if zero is None else np.asarray(zero).astype(np.int64).reshape(-1)
    scales = np.asarray(scale, np.float32).reshape(-1)
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        step.refuse("with a scale that is not positive", "positive scales")
    along = np.ones(array.ndim, np.int64)
    if max(scales.size, zeros.size) > 1:
        if not -array.ndim <= axis < array.ndim:
            step.refuse(f"along axis {axis} of {array.ndim} dimensions", "one of them")
        along[axis] = array.shape[axis]
    if any(v.size not in (1, along.prod()) for v in (scales, zeros)):
        step.refuse(f"of shape {array.shape} with {scales.size} scales and {zeros.size} zero points", "one for all, or "
                    f"one for each of axis {axis}")  # fmt: skip
    spread, off = (np.broadcast_to(v, along.prod()).reshape(along) for v in (scales.astype(np.float64), zeros))
    same = int(zeros[0]) if (zeros == zeros[0]).all() else 0
    return Quantised(array.astype(np.int64) - off, spread, same, coded=True)


def _of_constants(step: Step, array: np.ndarray, scale: Any, zero: Any, axis: int, kind: int) -> np.ndarray:
    """What QuantizeLinear makes of weights."""
    name = NUMBERED.get(kind or 2, f"type {kind}") if zero is None else str(np.asarray(zero).dtype)
    if name not in TYPES or array.dtype.kind != "f" or not np.isfinite(array).all():
        step.refuse(f"of constants to {name}", "finite ones, to int8 and uint8")
    one = levels_of(step, np.ones(array.shape, np.int8), scale, zero, axis)
    off = (1 - one.levels).astype(np.float32)
    y = np.rint(array.astype(np.float32) / one.scale.astype(np.float32)) + off
    return np.asarray(np.clip(y, *TYPES[name])).astype(name)


def _requantised(numbers: Numbers, code: Code) -> tuple[Numbers, Quantiser]:
    """What stands before a quantiser with ``code``, and the quantiser: for sums of integers, as runtimes requantise
    them, a product with one factor."""
    low, high = code.low - code.zero, code.high - code.zero
    scale, zero = np.asarray(code.scale, np.float32), np.zeros((), np.float32)
    if numbers.fused is None or (numbers.offset % 1).any():
        return numbers, Quantiser(scale, zero, low, high)
    factor = Rise("Mul", (numbers.fused.factor(code.scale),))
    clamps = (Rise(rise.op, tuple(c / code.scale for c in rise.constants)) for rise in numbers.rises)
    error = numbers.error if numbers.fused.ordered else np.zeros_like(numbers.unit)
    found = replace(numbers, unit=np.ones_like(numbers.unit), error=error, rises=(factor, *clamps))
    return found, Quantiser(np.ones((), np.float32), zero, low, high)


def _plain(step: Step) -> None:
    """Refuse what belongs to blocks of a tensor; what is of floats of 8 bits says nothing here."""
    if step.get("block_size", 0):
        step.refuse("in blocks", "one scale for all, or one for each channel")
    step.get("saturate", 1)
    if step.get("precision", 0) not in (0, 1):
        step.refuse("in another precision", "single floats")


def _constants(step: Step, x: Sequence[Any]) -> tuple[Any, Any]:
    if len(x) not in (2, 3):
        step.refuse(f"of {len(x)} inputs", "a tensor, a scale and a zero point")
    return x[1], x[2] if len(x) > 2 else None
