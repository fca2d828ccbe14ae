"""The windows that a node moves over a map: how many there are, what stands in them, and how many a cell is in.

A setting of a node is one number where both directions, or all sides, are alike, and a tuple where they differ; that is
how files and hashes have it, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .bounds import MOST_ELEMENTS, NetworkError, integer

__all__ = ["Pair", "Sides", "Windows", "alike", "each_side", "each_way", "whole_numbers"]

Pair = int | tuple[int, int]
"""A setting in both directions: one number, or (rows, columns)."""

Sides = int | tuple[int, int] | tuple[int, int, int, int]
"""Cells around a map: one number, (above and below, left and right), or (top, bottom, left, right)."""


def whole_numbers(name: str, what: str, value: object, most: int) -> tuple[int, ...]:
    """The numbers of the setting ``what`` of the node ``name``: one integer or two, where ``most`` is 4 also four.
    Raises NetworkError for all else."""
    if isinstance(value, list | tuple) and len(value) in (2, most):
        return tuple(integer(name, what, each) for each in value)
    try:
        return (integer(name, what, value),)
    except NetworkError as error:
        sides = " or four, (top, bottom, left, right)" if most == 4 else ""
        raise NetworkError(f"{error}; where the directions differ, two of them, (rows, columns){sides}") from None


def alike(values: Sequence[int]) -> int | tuple[int, ...]:
    """``values``, one, two or four, as a setting: without those that others say already."""
    if len(values) == 4 and (values[0], values[2]) == (values[1], values[3]):
        values = values[::2]
    return values[0] if len(set(values)) == 1 and len(values) < 4 else tuple(values)


def each_way(setting: int | Sequence[int]) -> tuple[int, int]:
    """A setting in (rows, columns)."""
    return (setting, setting) if isinstance(setting, int) else (setting[0], setting[1])


def each_side(setting: int | Sequence[int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """A setting around a map as ((top, bottom), (left, right))."""
    if not isinstance(setting, int) and len(setting) == 4:
        return (setting[0], setting[1]), (setting[2], setting[3])
    rows, columns = each_way(setting)
    return (rows, rows), (columns, columns)


@dataclass(frozen=True)
class Windows:
    """Windows of ``kernel`` (Ky, Kx) cells, ``dilation`` cells apart, moved by ``stride`` over a map with ``padding``
    cells around it, ((top, bottom), (left, right)); what is left over at the end of a line is left out."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    dilation: tuple[int, int] = (1, 1)

    @property
    def extent(self) -> tuple[int, int]:
        """Cells from the first to the last of a window, (rows, columns)."""
        (ky, kx), (dy, dx) = self.kernel, self.dilation
        return (ky - 1) * dy + 1, (kx - 1) * dx + 1

    @property
    def padded(self) -> bool:
        """Whether there is any padding."""
        return any(map(any, self.padding))

    def places(self, size: tuple[int, ...]) -> tuple[int, int]:
        """Windows in a column and in a row of a map of ``size`` (H, W)."""
        rows, columns = (
            (cells + sum(sides) - extent) // stride + 1
            for cells, sides, extent, stride in zip(size, self.padding, self.extent, self.stride, strict=True)
        )
        return rows, columns

    def starts(self, axis: int, cells: int) -> range:
        """Where the windows of a line of ``cells`` start, counted from its first cell; those before it are below 0."""
        before, after = self.padding[axis]
        return range(-before, cells + after - self.extent[axis] + 1, self.stride[axis])

    def check(self, name: str, shape: tuple[int, int, int]) -> None:
        """Raise NetworkError, naming the node, where no window fits into a map of ``shape`` (C, H, W), or where the map
        with its padding has more numbers than a node may give."""
        channels, *size = shape
        if min(self.places(tuple(size))) < 1:
            (ky, kx), (ey, ex) = self.kernel, self.extent
            wide = f", {ey}x{ex} with its dilation," if (ky, kx) != (ey, ex) else ""
            padding = alike([side for sides in self.padding for side in sides])
            raise NetworkError(
                f"{name}: kernel {ky}x{kx}{wide} is larger than its input {size[0]}x{size[1]} (padding {padding})"
            )
        whole = channels * math.prod(n + sum(sides) for n, sides in zip(size, self.padding, strict=True))
        if self.padded and whole > MOST_ELEMENTS:
            raise NetworkError(
                f"{name}: its input has {whole:,} numbers with the padding, supported: {MOST_ELEMENTS:,}; choose less "
                "padding"
            )

    def views(self, x: np.ndarray, pad: np.ndarray | None = None) -> np.ndarray:
        """The windows of ``x`` (..., H, W) with their padding, (..., rows, columns, Ky, Kx): zeros, or ``pad`` (...),
        of the type of ``x``."""
        (sy, sx), (dy, dx) = self.stride, self.dilation
        around = np.pad(x, [(0, 0)] * (x.ndim - 2) + list(self.padding)) if self.padded else x
        if pad is not None:
            inside = np.pad(np.ones(x.shape[-2:], bool), self.padding)
            around = np.where(inside, around, np.asarray(pad, x.dtype)[..., None, None])
        return sliding_window_view(around, self.extent, (-2, -1))[..., ::sy, ::sx, ::dy, ::dx]

    def times_read(self, size: tuple[int, int]) -> np.ndarray:
        """How many windows each cell of a map of ``size`` (H, W) is in, (H, W)."""
        return np.outer(*(self._read_in_a_line(axis, size[axis]) for axis in (0, 1)))

    def _read_in_a_line(self, axis: int, cells: int) -> np.ndarray:
        places = np.arange(self.kernel[axis]) * self.dilation[axis]
        read = np.array(self.starts(axis, cells))[:, None] + places
        return np.bincount(read[(read >= 0) & (read < cells)], minlength=cells).astype(float)
