"""Ten classes of images that lie so far apart that any training learns them, whatever the last bits of its floats."""

from __future__ import annotations

import functools

import numpy as np

from spikeloom.quant.data import Dataset

NOISE = 2
"""By how much a pixel of an image differs from that of its class at most; the classes' pixels are 2 and 13."""


def classes() -> np.ndarray:
    """The image of each class, (10, 1, 8, 8): four by four squares, bright and dark, mirrored on the right.

    Any two differ in at least 24 of 64 pixels, by 11 each, so that the nearest class is always the right one.
    """
    rng = np.random.default_rng(0)
    found: list[np.ndarray] = []
    while len(found) < 10:
        left = rng.integers(0, 2, (4, 2))
        new = np.hstack((left, left[:, ::-1])).repeat(2, 0).repeat(2, 1)
        if all((new != other).sum() >= 24 for other in found):
            found.append(new)
    return 2 + 11 * np.stack(found)[:, None]


@functools.cache
def patterns(train: int = 600, test: int = 200) -> Dataset:
    """Images (N, 1, 8, 8) of pixels 0..15, as many of each class."""
    rng = np.random.default_rng(1)
    y = np.arange(train + test, dtype=np.int64) % 10
    x = (classes()[y] + rng.integers(-NOISE, NOISE + 1, (len(y), 1, 8, 8))).astype(np.uint8)
    return Dataset("patterns", x[:train], y[:train], x[train:], y[train:], 15)
