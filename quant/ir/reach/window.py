"""What windows met: which weights an input other than 0, which edges, which place of a pool had the maximum alone."""

from __future__ import annotations

import numpy as np

from ..windows import Windows

__all__ = ["edges", "taps", "winners", "zero_windows"]


def taps(windows: Windows, active: np.ndarray) -> np.ndarray:
    """Which weights met an input other than 0: (Ky * Kx, C) of the C input channels, from where inputs were other than
    0, ``active`` (C, H, W)."""
    (ky, kx), stride, padding = windows.kernel, windows.stride, windows.padding
    padded = np.pad(active, ((0, 0), (padding,) * 2, (padding,) * 2))
    stops = [n * stride for n in windows.places(active.shape[1:])]
    return np.stack([
        padded[:, y : y + stops[0] : stride, x : x + stops[1] : stride].any((1, 2))
        for y in range(ky)
        for x in range(kx)
    ])  # fmt: skip


def edges(windows: Windows, active: np.ndarray) -> np.ndarray:
    """Over which edges a window reached that held an input other than 0: top, bottom, left, right, (4, 1)."""
    found = []
    for axis in (1, 2):
        lines = np.any(active, axis=(0, 3 - axis))
        size, kernel = active.shape[axis], windows.kernel[axis - 1]
        last = (size + 2 * windows.padding - kernel) // windows.stride * windows.stride - windows.padding
        found += [lines[: kernel - windows.padding].any(), last + kernel > size and lines[max(0, last) :].any()]
    return np.array(found, bool)[:, None]


def winners(windows: Windows, counts: np.ndarray) -> np.ndarray:
    """Which places of a window had the maximum alone: (kernel * kernel, C), from values (N, S, C, H, W)."""
    views = _places(counts, windows)
    first, second = views[0].copy(), np.full_like(views[0], np.iinfo(counts.dtype).min)
    for view in views[1:]:
        np.maximum(second, np.minimum(first, view), out=second)
        np.maximum(first, view, out=first)
    alone = first > second
    return np.stack([((view == first) & alone).any((0, 1, 3, 4)) for view in views])


def zero_windows(windows: Windows, x: np.ndarray, shape: tuple[int, int, int]) -> tuple[int, int]:
    """All-zero windows, and all, of frames ``x``, (N, C, H, W) or (N, T, C, H, W), whose results have ``shape``."""
    some = (x != 0).any((1, 2) if x.ndim == 5 else 1)
    total = len(x) * shape[1] * shape[2]
    p = windows.padding
    padded = np.pad(some, ((0, 0), (p, p), (p, p)))
    found = np.zeros((len(x), *shape[1:]), bool)
    for y in range(windows.kernel[0]):
        for column in range(windows.kernel[1]):
            part = padded[:, y :: windows.stride, column :: windows.stride]
            found |= part[:, : shape[1], : shape[2]]
    return total - int(found.sum()), total


def _places(x: np.ndarray, windows: Windows) -> list[np.ndarray]:
    """What stands at every place of the windows."""
    (ky, kx), stride = windows.kernel, windows.stride
    rows, columns = windows.places(x.shape[-2:])
    return [
        x[..., y : y + rows * stride : stride, column : column + columns * stride : stride]
        for y in range(ky)
        for column in range(kx)
    ]
