"""What frames reached of one kind at a node, and what can be reached at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["FAR", "Branches", "Near", "Role"]

Role = Literal["taken", "moved", "noted"]
"""What branches are: what does one thing or another, and is taken or not; a constant, moved by one, which shows or
does not; what is only noted, and missed without a warning."""

FAR = np.iinfo(np.int64).max
"""The distance of nothing."""


@dataclass(eq=False)
class Branches:
    """What of one kind was seen at a node, and what can be: two arrays of bool of one shape, channels last."""

    seen: np.ndarray
    can: np.ndarray
    role: Role = "taken"

    @classmethod
    def of(cls, can: np.ndarray, role: Role = "taken") -> Branches:
        """Before any frame, of what ``can`` be."""
        can = np.ascontiguousarray(can)
        return cls(np.zeros_like(can), can, role)

    @property
    def missed(self) -> np.ndarray:
        """What can be and was not seen."""
        return self.can & ~self.seen

    @property
    def done(self) -> bool:
        """Whether all that can be was seen."""
        return not self.missed.any()

    @property
    def channels(self) -> np.ndarray:
        """Indices of the channels in which something was missed."""
        return np.flatnonzero(self.missed.any(tuple(range(self.can.ndim - 1))))

    @property
    def part(self) -> str:
        """In how many of all channels something was missed, in words."""
        return f"{len(self.channels)} of {self.can.shape[-1]}"

    def rows(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """Of branches (len(names), C): the name of a row in which something was missed, and in how many of all
        channels, in words."""
        missed = self.missed
        return [(n, f"{row.sum()} of {len(row)}") for n, row in zip(names, missed, strict=True) if row.any()]

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many were seen, can be, cannot be."""
        can = int(self.can.sum())
        return int((self.seen & self.can).sum()), can, self.can.size - can


@dataclass(eq=False)
class Near:
    """How near membranes came to a test, (T, C): the least distance ``above`` or on it, and the least ``below`` (1 or
    more); :data:`FAR` where none was on that side."""

    above: np.ndarray
    below: np.ndarray

    @classmethod
    def none(cls, steps: int, channels: int) -> Near:
        """Before any frame."""
        return cls(*np.full((2, steps, channels), FAR))

    def take(self, above: np.ndarray, below: np.ndarray) -> None:
        """Go on with further distances."""
        np.minimum(self.above, above, out=self.above)
        np.minimum(self.below, below, out=self.below)
