"""What a host does with the maps of the detector: their numbers become boxes, and of boxes on one face the best stays.
Plain NumPy, so that it runs wherever the design is read."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

__all__ = ["SCORE", "decoded", "faces", "overlaps", "priors", "suppressed"]

STRIDES = (8, 16, 32, 64)
"""Pixels from one cell of a map to the next."""

SIDES = ((10, 16, 24), (32, 48), (64, 96), (128, 192, 256))
"""Sides, in pixels, of the squares that the boxes of a cell start from, at each stride."""

PLACE, SIZE = 0.1, 0.2
"""What a number of a map is worth: of the centre, in sides of the square; of the logarithm of a side."""

SCORE, OVERLAP = 0.7, 0.3
"""The least score of a face, and how much two boxes overlap at most that are two faces."""


def priors(height: int, width: int) -> np.ndarray:
    """The squares (P, 4) that boxes start from, of an image of ``height`` and ``width`` pixels: centre x, y, and sides,
    as shares of the image; row by row, stride after stride.

    >>> priors(240, 320).shape
    (4420, 4)
    """
    found = list[tuple[float, ...]]()
    for stride, sides in zip(STRIDES, SIDES, strict=True):
        for row in range(math.ceil(height / stride)):
            for column in range(math.ceil(width / stride)):
                x, y = (column + 0.5) * stride / width, (row + 0.5) * stride / height
                found += [(x, y, side / width, side / height) for side in sides]
    return np.clip(np.array(found), 0.0, 1.0)


def decoded(numbers: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Boxes (..., 4), the left, upper, right and lower end of each as shares of the image, of the ``numbers`` (..., 4)
    of the maps and the ``squares`` (..., 4) of :func:`priors`."""
    centre = squares[..., :2] + PLACE * numbers[..., :2] * squares[..., 2:]
    half = squares[..., 2:] * np.exp(SIZE * numbers[..., 2:]) / 2
    return np.concatenate([centre - half, centre + half], -1)


def overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How much ``box`` (4,) overlaps each of ``others`` (n, 4): the share of what both cover that they both cover.

    >>> overlaps(np.array([0, 0, 2, 1]), np.array([[0, 0, 2, 1], [1, 0, 3, 1], [5, 5, 6, 6]])).round(2).tolist()
    [1.0, 0.33, 0.0]
    """
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    both = (high - low).clip(0).prod(1)
    areas = (others[:, 2:] - others[:, :2]).prod(1)
    return both / (areas + (box[2:] - box[:2]).prod() - both)


def suppressed(boxes: np.ndarray, scores: np.ndarray, overlap: float = OVERLAP) -> np.ndarray:
    """The places (k,) of those of ``boxes`` (n, 4) that stay, the best of ``scores`` (n,) first: each that overlaps
    none that stayed before it by more than ``overlap``."""
    stay, left = list[int](), np.argsort(-scores, kind="stable")
    while len(left):
        best, left = left[0], left[1:]
        stay.append(int(best))
        left = left[overlaps(boxes[best], boxes[left]) <= overlap]
    return np.array(stay, int)


def faces(maps: Mapping[str, np.ndarray], height: int, width: int, score: float = SCORE) -> list[np.ndarray]:
    """The faces in each of N images of ``height`` and ``width`` pixels: an array (k, 5) of the left, upper, right and
    lower end of a box in pixels and its score, the best first. ``maps``: ``scores8``, ``boxes8`` and so on, real
    numbers (N, C, h, w)."""
    both, numbers = (np.concatenate([_lines(maps[f"{kind}{stride}"], size) for stride in STRIDES], 1)
                     for kind, size in (("scores", 2), ("boxes", 4)))  # fmt: skip
    shares = decoded(numbers, priors(height, width)).clip(0, 1)
    likely = 1 / (1 + np.exp(both[..., 0] - both[..., 1]))  # a softmax of two
    found = list[np.ndarray]()
    for boxes, scores in zip(shares, likely, strict=True):
        boxes, scores = boxes[scores > score], scores[scores > score]
        kept = suppressed(boxes, scores)
        pixels = boxes[kept] * (width, height, width, height)
        found.append(np.concatenate([pixels, scores[kept, None]], 1))
    return found


def _lines(found: np.ndarray, size: int) -> np.ndarray:
    """A map (N, k * ``size``, h, w) as the numbers (N, h * w * k, ``size``) of its boxes, pixel by pixel."""
    return np.moveaxis(found, 1, -1).reshape(len(found), -1, size).astype(np.float64)
