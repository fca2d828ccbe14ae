"""The windows that a node moves over a map: how many there are, and how many a cell is in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .bounds import NetworkError

__all__ = ["Windows"]


@dataclass(frozen=True)
class Windows:
    """Windows of ``kernel`` (Ky, Kx) cells, moved by ``stride`` over a map with ``padding`` cells on every side; what
    is left over at the end of a line is left out."""

    kernel: tuple[int, int]
    stride: int = 1
    padding: int = 0

    def places(self, size: tuple[int, int]) -> tuple[int, int]:
        """Windows in a column and in a row of a map of ``size`` (H, W)."""
        rows, columns = (self._in_a_line(n, k) for n, k in zip(size, self.kernel, strict=True))
        return rows, columns

    def check(self, name: str, size: tuple[int, int]) -> None:
        """Raise NetworkError, naming the node, where no window fits into a map of ``size`` (H, W)."""
        if min(self.places(size)) < 1:
            raise NetworkError(
                f"{name}: kernel {self.kernel[0]}x{self.kernel[1]} is larger than its input {size[0]}x{size[1]} "
                f"(padding {self.padding})"
            )

    def times_read(self, size: tuple[int, int]) -> np.ndarray:
        """How many windows each cell of a map of ``size`` (H, W) is in, (H, W)."""
        rows, columns = (self._read_in_a_line(n, k) for n, k in zip(size, self.kernel, strict=True))
        return np.outer(rows, columns)

    def _read_in_a_line(self, cells: int, kernel: int) -> np.ndarray:
        read = np.arange(self._in_a_line(cells, kernel))[:, None] * self.stride + np.arange(kernel) - self.padding
        return np.bincount(read[(read >= 0) & (read < cells)], minlength=cells).astype(float)

    def _in_a_line(self, cells: int, kernel: int) -> int:
        return (cells + 2 * self.padding - kernel) // self.stride + 1
