"""The windows of convolutions and pools: the fields of NIR as the settings that there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...ir.windows import Windows
from .node import NirNode
from .parts import Shape

__all__ = ["of_convolution", "of_pool"]


def of_convolution(node: NirNode, kernel: Sequence[int], shape: Shape, lines: bool) -> Windows:
    """Those of kernels (Ky, Kx) on a map of ``shape`` (C, H, W); ``lines``: fields have one number, for the columns.
    Raises UnsupportedLayer, and NetworkError where none fits the map."""
    (ky, kx), count = kernel, 1 if lines else 2
    stride, dilation = ((1,) * lines + node.whole(key, count) for key in ("stride", "dilation"))
    how = node.text("padding")
    if how not in (None, "same", "valid"):
        node.refuse(f"with padding={how!r:.60}", "numbers, 'same' or 'valid'")
    if min(*stride, *dilation) < 1:
        node.refuse(f"with stride {stride} and dilation {dilation}", "numbers of 1 or more")
    found = Windows((ky, kx), (stride[0], stride[1]), dilation=(dilation[0], dilation[1]))
    if how == "same":
        if max(stride) > 1:
            node.refuse("with padding='same' and a stride", "a stride of 1, or numbers for the padding")
        sides: Any = tuple(((n - 1) // 2, n // 2) for n in found.extent)  # the larger part behind
    else:
        padding = (0, 0) if how == "valid" else (0,) * lines + node.whole("padding", count)
        if min(padding) < 0 or any(p >= n for p, n in zip(padding, found.extent, strict=True)):
            node.refuse(f"with padding {padding}", "0 or more, and less than the kernel reaches over")
        sides = tuple((n, n) for n in padding)
    found = replace(found, padding=sides)
    found.check(node.name, shape)
    return found


def of_pool(node: NirNode, shape: Shape) -> Windows:
    """Those of a pool on a map of ``shape`` (C, H, W). Raises the same."""
    kernel, stride, padding = (node.whole(key, 2) for key in ("kernel_size", "stride", "padding"))
    if min(*kernel, *stride) < 1 or min(padding) < 0 or any(p >= k for p, k in zip(padding, kernel, strict=True)):
        node.refuse(f"with kernel {kernel}, stride {stride}, padding {padding}", "windows with a cell of the map")
    (top, left), (ky, kx), (sy, sx) = padding, kernel, stride
    windows = Windows((ky, kx), (sy, sx), ((top, top), (left, left)))
    windows.check(node.name, shape)
    return windows
