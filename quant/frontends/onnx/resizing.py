"""Resize and Upsample: the whole factors by which they repeat pixels, where that is what they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np

from ...ir.windows import Pair, alike
from ..layers.resample import WHOLE
from .step import Step

__all__ = ["factor_of"]

HALF = Fraction(1, 2)

PLACES: dict[str, Callable[[int, int, int], Fraction]] = {
    "asymmetric": lambda x, times, _: Fraction(x, times),
    "half_pixel": lambda x, times, _: (x + HALF) / times - HALF,
    "half_pixel_symmetric": lambda x, times, _: (x + HALF) / times - HALF,
    "pytorch_half_pixel": lambda x, times, cells: (x + HALF) / times - HALF if cells * times > 1 else Fraction(0),
    "tf_half_pixel_for_nn": lambda x, times, _: (x + HALF) / times,
    "align_corners": lambda x, times, cells: Fraction(x * (cells - 1), max(1, cells * times - 1)),
}
"""Where pixel ``x`` of a line lies in the coarser one, of ``cells`` pixels, by the coordinate convention."""

NEAREST: dict[str, Callable[[Fraction], int]] = {
    "floor": floor,
    "ceil": ceil,
    "round_prefer_floor": lambda place: ceil(place - HALF),
    "round_prefer_ceil": lambda place: floor(place + HALF),
}
"""The pixel that is nearest to a place."""


EXACT = "the convention asymmetric with floor (as PyTorch exports it), or any that gives the same pixels"


def factor_of(step: Step, x: Sequence[Any], shape: Sequence[int]) -> Pair:
    """How often a Resize or an Upsample repeats the pixels of a map of ``shape`` (N, C, H, W), in a column and in a
    row. Raises UnsupportedLayer where it does anything else."""
    if (mode := step.get("mode", "nearest")) != "nearest":
        step.refuse(f"with mode={mode!r}", WHOLE)
    if len(shape) != 4:
        step.refuse(f"of {len(shape)} dimensions", "maps (N, C, H, W)")
    times = _times(step, x, shape)
    if any(n < 1 or n != int(n) for n in times) or times[:2] != [1, 1]:
        shown = ", ".join(f"{float(n):g}" for n in times)
        step.refuse(f"of a map of {'x'.join(map(str, shape[1:]))} by {shown}", WHOLE)
    first = len(x) == 2  # of opset 10, as Upsample
    plain = step.op == "Upsample" or first
    place = step.get("coordinate_transformation_mode", "asymmetric" if plain else "half_pixel")
    nearest = step.get("nearest_mode", "floor" if plain else "round_prefer_floor")
    for other in ("cubic_coeff_a", "exclude_outside", "extrapolation_value", "antialias"):  # of other modes
        step.get(other, 0)
    down, along = (int(n) for n in times[2:])
    if not all(_same(place, nearest, n, cells) for n, cells in zip((down, along), shape[2:], strict=True)):
        step.refuse(f"with coordinate_transformation_mode={place!r}, nearest_mode={nearest!r}", EXACT)
    return alike((down, along))  # type: ignore[return-value]


def _times(step: Step, x: Sequence[Any], shape: Sequence[int]) -> list[Fraction]:
    """By what each axis of a map of ``shape`` grows."""
    given, sizes = _last(x[1:3] if len(x) > 2 else x[1:2]), _last(x[3:4])
    if step.op == "Upsample" and given is None:
        given = step.get("scales", None)
    axes = [axis % len(shape) for axis in step.get("axes", range(len(shape)))]
    if step.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        step.refuse("with keep_aspect_ratio_policy", "a size for each axis")
    found, wanted = [Fraction(1)] * len(shape), sizes if given is None else given
    if wanted is None or len(wanted) != len(axes):
        step.refuse("to a size that depends on the image, or without scales", "constant scales or sizes of all axes")
    for axis, value in zip(axes, wanted, strict=True):
        found[axis] = Fraction(float(value)) if given is not None else Fraction(int(value), shape[axis])
    return found


def _last(x: Sequence[Any]) -> np.ndarray | None:
    """The last of ``x``, where that is a constant with numbers."""
    array = x[-1] if x else None
    return array if isinstance(array, np.ndarray) and array.size else None


def _same(place: str, nearest: str, times: int, cells: int) -> bool:
    """Whether a convention repeats each of ``cells`` pixels ``times`` times."""
    if place not in PLACES or nearest not in NEAREST:
        return False
    at = [NEAREST[nearest](PLACES[place](pixel, times, cells)) for pixel in range(cells * times)]
    return [min(max(pixel, 0), cells - 1) for pixel in at] == [pixel // times for pixel in range(cells * times)]
