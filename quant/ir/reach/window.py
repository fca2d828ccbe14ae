"""What windows met: which weights an input other than 0, which edges, which place of a pool had the maximum alone."""

from __future__ import annotations

import numpy as np

from ..windows import Windows

__all__ = ["edges", "taps", "winners", "zero_windows"]


def taps(windows: Windows, active: np.ndarray, pad: np.ndarray | None = None) -> np.ndarray:
    """Which weights met an input other than 0: (Ky * Kx, C) of the C input channels, from where inputs were other than
    0, ``active`` (C, H, W); ``pad`` (C,), what stands around the map."""
    return np.stack([place.any((1, 2)) for place in _places(active, windows, pad)])


def edges(windows: Windows, active: np.ndarray, pad: np.ndarray | None = None) -> np.ndarray:
    """Over which edges a window reached that held an input other than 0, also of ``pad`` (C,): top, bottom, left,
    right, (4, 1)."""
    held = np.logical_or.reduce(_places(np.any(active, axis=(0,)), windows, _some(pad)))
    found = []
    for axis, size in enumerate(active.shape[1:]):
        starts, lines = np.array(windows.starts(axis, size)), held.any(1 - axis)
        found += [lines[starts < 0].any(), lines[starts + windows.extent[axis] > size].any()]
    return np.array(found, bool)[:, None]


def winners(windows: Windows, counts: np.ndarray) -> np.ndarray:
    """Which places of a window had the maximum alone: (Ky * Kx, C), from values (N, S, C, H, W)."""
    views = _places(counts, windows)
    first, second = views[0].copy(), np.full_like(views[0], np.iinfo(counts.dtype).min)
    for view in views[1:]:
        np.maximum(second, np.minimum(first, view), out=second)
        np.maximum(first, view, out=first)
    alone = first > second
    return np.stack([((view == first) & alone).any((0, 1, 3, 4)) for view in views])


def zero_windows(
    windows: Windows, x: np.ndarray, shape: tuple[int, int, int], pad: np.ndarray | None = None
) -> tuple[int, int]:
    """All-zero windows, and all, of frames ``x``, (N, C, H, W) or (N, T, C, H, W), whose results have ``shape``, with
    ``pad`` (C,) around the maps."""
    some = (x != 0).any((1, 2) if x.ndim == 5 else 1)
    total = len(x) * shape[1] * shape[2]
    found = np.zeros((len(x), *shape[1:]), bool)
    for place in _places(some, windows, _some(pad)):
        found |= place
    return total - int(found.sum()), total


def _some(pad: np.ndarray | None) -> np.ndarray | None:
    """Whether ``pad`` is other than 0 in any channel."""
    return None if pad is None else np.any(pad, axis=(0,))


def _places(x: np.ndarray, windows: Windows, pad: np.ndarray | None = None) -> list[np.ndarray]:
    """What stands at every place of the windows, ``x`` (..., H, W): (..., rows, columns) of each."""
    views = windows.views(x, pad)
    return [views[..., y, column] for y in range(windows.kernel[0]) for column in range(windows.kernel[1])]
