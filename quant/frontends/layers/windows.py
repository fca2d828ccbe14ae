"""How many windows fit a map."""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.ops import NetworkError

__all__ = ["places"]


def places(name: str, size: tuple[int, int], kernel: Sequence[int], stride: int, padding: int) -> tuple[int, int]:
    """Rows and columns of the result of windows ``kernel`` over a map of ``size`` (H, W). Raises NetworkError, by the
    ``name`` of the layer, for windows larger than the map."""
    if any(k > n + 2 * padding for k, n in zip(kernel, size, strict=True)):
        raise NetworkError(
            f"{name}: kernel {kernel[0]}x{kernel[1]} is larger than its input {size[0]}x{size[1]} (padding {padding})"
        )
    high, wide = ((n + 2 * padding - k) // stride + 1 for k, n in zip(kernel, size, strict=True))
    return high, wide
