"""The image: pixels as integers, and as the float network takes them, without mean and deviation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ...ir.bounds import NetworkError
from .maps import Map

__all__ = ["prepared"]


def prepared(
    pixels: np.ndarray,
    shape: tuple[int, int, int],
    high: int,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> tuple[Tensor, Map]:
    """The images as the float network takes them, (pixels / ``high`` - ``mean``) / ``std``, and as a map of integers.
    Raises NetworkError where pixels, mean and deviation do not fit.
    """
    pixels = np.ascontiguousarray(pixels)
    fits = pixels.dtype.kind in "iu" and pixels.shape[1:] == tuple(shape) and pixels.size
    if not fits or pixels.min() < 0 or pixels.max() > high:
        raise NetworkError(
            f"Post-training quantisation: pixels must be integers 0..{high} of shape (N, {', '.join(map(str, shape))})"
            f", not {pixels.dtype} {pixels.shape}{f' of {pixels.min()}..{pixels.max()}' if pixels.size else ''}"
        )
    channels = shape[0]
    mean, std = list(mean or [0.0] * channels), list(std or [1.0] * channels)
    if not len(mean) == len(std) == channels or min(std) <= 0:
        raise NetworkError(
            f"Post-training quantisation: mean must have a value, std must have a positive value for each of {channels}"
            f" channels, not {mean} and {std}"
        )
    m, s = (torch.tensor(a, dtype=torch.float64) for a in (mean, std))
    frames = torch.from_numpy(pixels)
    images = ((frames.double() / high - m.view(-1, 1, 1)) / s.view(-1, 1, 1)).float()
    return images, Map.of(frames, 0, high, 1 / (high * s), -m / s, False)
