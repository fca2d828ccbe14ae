"""What many folds ask of the same weights, found once: their sums by channel, and what the lanes of a fold see."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from ...bounds import whole
from ...streams.words import WordFormat

T = TypeVar("T")

__all__ = ["WeightFigures", "element_range", "narrowed", "weighted_ranges"]


def narrowed(weight: np.ndarray) -> np.ndarray:
    """``weight`` in the narrowest integers with a sign that hold all of it, contiguous; itself where it is that."""
    low, high = weight.min(), weight.max()
    kinds = (np.int8, np.int16, np.int32, np.int64)
    kind = next(kind for kind in kinds if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
    return np.ascontiguousarray(weight, kind)


class WeightFigures:
    """Figures of weights (Co, n), each row in the order of the window words.

    A fold of ``outputs`` x ``inputs`` has a lane for each pair of them: lane (o, i) multiplies by the weights of all
    channels o, o + outputs, ... at all places i, i + inputs, ... So the figures of a coarse fold lead to those of
    every finer one.

    Parameters: ``weight``, integers (Co, n), not to be changed afterwards. Attributes: ``weight``; ``low`` and
    ``high``, the least and the largest weight; ``positive`` and ``negative`` (Co,), sums by channel of the weights of
    either sign; ``narrow``, the same weights in as few bytes as hold them. Raises TypeError or ValueError where they
    are no integers, or beyond the largest number in a core.
    """

    def __init__(self, weight: np.ndarray) -> None:
        whole("Weight", weight, 2)
        self.weight = weight
        self.low, self.high = int(weight.min()), int(weight.max())
        self._lanes: dict[tuple[str, int, int], np.ndarray] = {}
        self._shared: dict[tuple, Any] = {}

    @property
    def largest(self) -> int:
        """The largest magnitude of a weight."""
        return max(abs(self.low), abs(self.high))

    @cached_property
    def narrow(self) -> np.ndarray:
        """The weights, in the narrowest integers with a sign that hold all of them."""
        return narrowed(self.weight)

    @cached_property
    def positive(self) -> np.ndarray:
        """The sum (Co,) of the positive weights of each channel."""
        return np.maximum(self.narrow, 0).sum(1, dtype=np.int64)

    @cached_property
    def negative(self) -> np.ndarray:
        """The sum (Co,) of the negative weights of each channel."""
        return np.minimum(self.narrow, 0).sum(1, dtype=np.int64)

    def describes(self, weight: np.ndarray) -> bool:
        """Whether ``weight``, of any shape, is the very memory that these are the figures of."""
        mine = self.weight
        return (
            weight.size == mine.size
            and weight.dtype == mine.dtype
            and weight.flags.c_contiguous
            and mine.flags.c_contiguous
            and weight.ctypes.data == mine.ctypes.data
        )

    def shared(self, key: tuple, found: Callable[[], T]) -> T:
        """What ``found`` gives, once for each ``key``: what it asks of the weights and of a fold. Little, for it is
        kept."""
        if key not in self._shared:
            self._shared[key] = found()
        return self._shared[key]

    def lanes(self, how: np.ufunc, outputs: int, inputs: int) -> np.ndarray:
        """``how`` (minimum, maximum, bitwise_or, bitwise_and) of the weights of every lane, (outputs, inputs);
        ``outputs`` divides Co, ``inputs`` divides n."""
        key = how.__name__, outputs, inputs
        if key not in self._lanes:
            channels, places = self.weight.shape
            if places > inputs:
                wider = self.lanes(how, outputs, inputs * _least_factor(places // inputs))
                found = how.reduce(wider.reshape(outputs, -1, inputs), axis=1)
            elif channels > outputs:
                wider = self.lanes(how, outputs * _least_factor(channels // outputs), inputs)
                found = how.reduce(wider.reshape(-1, outputs, inputs), axis=0)
            else:
                found = self.narrow
            self._lanes[key] = found
        return self._lanes[key]


def _least_factor(n: int) -> int:
    """The least factor of ``n`` above 1."""
    return next((k for k in range(2, int(n**0.5) + 1) if n % k == 0), n)


def element_range(form: WordFormat, sums: bool) -> tuple[int, int]:
    """The range of a time step of an element of ``form``, or with ``sums`` of the sum of its time steps."""
    times = form.steps if sums else 1
    return min(0, form.low * times), max(0, form.high * times)


def weighted_ranges(weights: WeightFigures, form: WordFormat, sums: bool) -> np.ndarray:
    """Ranges (Co, 2) of weights (Co, n) times any inputs of ``form``, or with ``sums`` the sums of their time steps."""
    low, high = element_range(form, sums)
    pos, neg = weights.positive, weights.negative
    return np.stack([pos * low + neg * high, pos * high + neg * low], axis=1)
