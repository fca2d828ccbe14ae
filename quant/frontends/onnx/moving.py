"""What Pad, Slice and Split do to a tensor, as both readers ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .step import Step

__all__ = ["pads_of", "parts_of", "slices_of"]


def pads_of(step: Step, x: Sequence[Any], shape: Sequence[int]) -> tuple[list[int], float]:
    """What a Pad puts around a tensor of ``shape`` (N, C, ...): before and behind its channels, above, below, left and
    right, as many as it has; and the value."""
    found = step.get("pads", None) if len(x) < 2 or x[1] is None else x[1]
    mode = step.get("mode", "constant")
    value: Any = step.get("value", 0.0) if len(x) < 3 or x[2] is None else x[2]
    axes = range(len(shape)) if len(x) < 4 or x[3] is None else _whole(step, x[3])
    sides, every = [] if found is None else _whole(step, found), [0] * 2 * len(shape)
    if len(sides) != 2 * len(axes) or not isinstance(value, float | np.ndarray) or np.size(value) != 1:
        step.refuse(f"with pads={sides}", "two constants for each axis, and a constant value")
    for k, axis in enumerate(axes):
        if not -len(shape) <= axis < len(shape):
            step.refuse(f"along axis {axis}", f"axes of {len(shape)} dimensions")
        every[2 * (axis % len(shape))], every[2 * (axis % len(shape)) + 1] = sides[k], sides[len(axes) + k]
    if mode != "constant" or any(every[:2]) or min(every) < 0:
        step.refuse(f"with pads={sides}, mode={mode!r}", "a constant around maps or their channels, 0 or more of it")
    return every[2:], float(np.asarray(value).reshape(()))


def slices_of(step: Step, x: Sequence[Any], shape: Sequence[int]) -> tuple[slice | None, tuple[int, int]]:
    """The channels that a Slice takes of a tensor of ``shape`` (N, C, ...), None where it takes all of them; else every
    how manyth row and column."""
    if len(x) < 3:
        given = [step.get("starts", ()), step.get("ends", ()), step.get("axes", None), None]
    else:
        given = [*x[1:], None, None][:4]
    starts, ends = (_whole(step, v) for v in given[:2])
    axes = list(range(len(starts))) if given[2] is None else _whole(step, given[2])
    steps = [1] * len(starts) if given[3] is None else _whole(step, given[3])
    if not len(starts) == len(ends) == len(axes) == len(steps):
        step.refuse("with settings that do not fit one another", "a start, an end and a step for each axis")
    channels, strides = None, [1, 1]
    for first, last, axis, by in zip(starts, ends, axes, steps, strict=True):
        if not -len(shape) <= axis < len(shape) or by < 1:
            step.refuse(f"along axis {axis} by {by}", f"axes of {len(shape)} dimensions, steps of 1 or more")
        axis %= len(shape)
        taken, every = range(shape[axis])[first:last:by], range(shape[axis])[::by]
        if axis == 1 and taken != range(shape[1]):
            channels = slice(first, last, by)
            if not taken:
                step.refuse("of no channels", "some of them")
        elif taken != every or (axis == 0 and by > 1):
            step.refuse(f"[{first}:{last}:{by}] along axis {axis}", "channels, and every so manyth row and column from "
                        "the first to the last")  # fmt: skip
        elif axis > 1:
            strides[axis - 2] = by
    if channels is not None and strides != [1, 1]:
        step.refuse("of channels and of rows at once", "one of them")
    return channels, (strides[0], strides[1])


def parts_of(step: Step, x: Sequence[Any], shape: Sequence[int]) -> list[int]:
    """How many channels each part of a Split has."""
    axis, count = step.get("axis", 0), step.get("num_outputs", len(step.outputs))
    given = step.get("split", None) if len(x) < 2 or x[1] is None else x[1]
    if axis not in (1, 1 - len(shape)):
        step.refuse(f"along axis {axis}", "parts of the channels, axis 1")
    size = -(-shape[1] // max(1, count))
    sizes = [min(size, shape[1] - k) for k in range(0, shape[1], size)] if given is None else _whole(step, given)
    if len(sizes) != len(step.outputs) or sum(sizes) != shape[1] or min(sizes, default=0) < 1:
        step.refuse(f"of {shape[1]} channels into {sizes}", "parts of 1 or more that are all of them")
    return sizes


def _whole(step: Step, value: Any) -> list[int]:
    """Whole numbers, a constant."""
    found = np.asarray(value) if isinstance(value, np.ndarray | list | tuple) else np.array(np.nan)
    if found.size and found.dtype.kind not in "iu":
        step.refuse("with settings that are no whole numbers", "constants")
    return [int(n) for n in found.reshape(-1)]
