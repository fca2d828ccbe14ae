"""Operators whose inputs are all constants, computed when a graph is read: exporters leave many, most of shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...ir.bounds import MOST_PARAMETERS
from .step import Step

__all__ = ["FOLDS", "axes_of", "folded"]


def folded(step: Step, x: Sequence[Any]) -> np.ndarray:
    """What ``step``, an operator of :data:`FOLDS`, gives for the arrays ``x``. Raises UnsupportedLayer where they do
    not fit one another, or the result is larger than a network may be."""
    try:
        with np.errstate(all="ignore"):
            return np.asarray(FOLDS[step.op](step, x))
    except (ValueError, IndexError, TypeError, OverflowError, KeyError, StopIteration) as error:
        step.refuse(f"of these constants ({error})", "constants that fit one another")


def axes_of(step: Step, x: Sequence[Any]) -> list[int] | None:
    """The axes that are an attribute in old opsets and the second input in new ones; None where all are meant."""
    axes = step.get("axes", None)
    if axes is None and len(x) > 1 and x[1] is not None:
        axes = np.asarray(x[1]).reshape(-1).tolist()
    return None if axes is None else [int(axis) for axis in axes]


def _bounded(shape: Sequence[int]) -> Sequence[int]:
    if math.prod(shape) > MOST_PARAMETERS:
        raise ValueError(f"{math.prod(shape):,} numbers, supported: {MOST_PARAMETERS:,}")
    return shape


def _both(compute: Callable[[Any, Any], Any]) -> Callable[[Step, Sequence[Any]], Any]:
    """An operator on two arrays, element by element, in their own type."""

    def of(step: Step, x: Sequence[Any]) -> Any:
        _bounded(np.broadcast_shapes(x[0].shape, x[1].shape))
        return compute(x[0], x[1])

    return of


def _divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.dtype.kind in "iu":  # towards 0
        return (np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))).astype(a.dtype)
    return a / b


def _constant(step: Step, x: Sequence[Any]) -> Any:
    kinds = {"value": None, "value_float": np.float32, "value_floats": np.float32, "value_int": np.int64,
             "value_ints": np.int64}  # fmt: skip
    key = next(key for key in step.attributes if key in kinds)
    return np.asarray(step.get(key, None), kinds[key])


def _filled(step: Step, x: Sequence[Any]) -> Any:
    value = step.get("value", np.zeros(1, np.float32))
    return np.full(_bounded(x[0].tolist()), value.reshape(()), value.dtype)


def _gathered(step: Step, x: Sequence[Any]) -> Any:
    axis = step.get("axis", 0)
    _bounded((x[1].size, x[0].size // max(1, x[0].shape[axis])))
    return np.take(x[0], x[1], axis)


def _expanded(step: Step, x: Sequence[Any]) -> Any:
    return np.expand_dims(x[0], tuple(axes_of(step, x) or ()))


def _squeezed(step: Step, x: Sequence[Any]) -> Any:
    axes = axes_of(step, x)
    return x[0].squeeze(None if axes is None else tuple(axes))


def _reshaped(step: Step, x: Sequence[Any]) -> Any:
    kept = not step.get("allowzero", 0)
    wanted = [x[0].shape[k] if n == 0 and kept else n for k, n in enumerate(x[1].tolist())]
    return x[0].reshape(wanted)


def _listed(array: Any) -> Any:
    return None if array is None else array.tolist()


def _sliced(step: Step, x: Sequence[Any]) -> Any:
    if len(x) < 3:
        starts, ends = step.get("starts", ()), step.get("ends", ())
        axes, steps = step.get("axes", None), None
    else:
        starts, ends, axes, steps = map(_listed, (*x[1:], None, None)[:4])
    places = [slice(None)] * x[0].ndim
    for k, axis in enumerate(range(len(starts)) if axes is None else axes):
        places[axis] = slice(starts[k], ends[k], steps[k] if steps else 1)
    return x[0][tuple(places)]


def _cast(step: Step, x: Sequence[Any]) -> Any:
    from onnx.helper import tensor_dtype_to_np_dtype

    for known in ("saturate", "round_mode"):  # of types of 8 bits
        step.get(known, 0)
    return x[0].astype(tensor_dtype_to_np_dtype(step.get("to", 1)))


def _of_shape(step: Step, x: Sequence[Any]) -> Any:
    return np.array(x[0].shape[step.get("start", 0) : step.get("end", None)], np.int64)


FOLDS: dict[str, Callable[[Step, Sequence[Any]], Any]] = {
    "Constant": _constant, "ConstantOfShape": _filled, "Gather": _gathered, "Unsqueeze": _expanded,
    "Squeeze": _squeezed, "Reshape": _reshaped, "Slice": _sliced, "Cast": _cast, "Shape": _of_shape,
    "Concat": lambda step, x: np.concatenate(x, step.get("axis", 0)),
    "Transpose": lambda step, x: x[0].transpose(step.get("perm", None)),
    "Identity": lambda step, x: x[0], "Neg": lambda step, x: -x[0], "Sqrt": lambda step, x: np.sqrt(x[0]),
    "Floor": lambda step, x: np.floor(x[0]), "Add": _both(np.add), "Sub": _both(np.subtract),
    "Mul": _both(np.multiply), "Div": _both(_divided), "Pow": _both(lambda a, b: (a**b).astype(a.dtype)),
}  # fmt: skip
"""By the name of the operator."""
