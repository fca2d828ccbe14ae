"""What the nodes whose results leave the network have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..node import Node
from ..signal import Signal
from ..span import Span

__all__ = ["Output"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Output(Node, ABC):
    """Common part of the outputs: currents summed over time, and a ``bias`` (C,), which is added once and not in every
    time step. Where the source is constant over time (values, T = 1) the sum has one term."""

    takes: ClassVar = ("currents", "values")

    bias: np.ndarray

    def __post_init__(self) -> None:
        super().__post_init__()
        self._arrays("bias")
        if self.bias.ndim != 1 or not self.bias.size:
            self._fail(f"bias must have one value {self._each}, not shape {self.bias.shape}")

    @property
    @abstractmethod
    def _each(self) -> str:
        """What has a value of the bias, as a message says it."""

    @property
    def adds_up(self) -> bool:
        """The sum of its currents is all that it needs."""
        return True

    def span(self, spans: Sequence[Span], sources: Sequence[Signal], steps: int) -> Span:
        """The ends of all terms together."""
        terms = steps if sources[0].timed else 1
        return Span(spans[0].low * terms + self.bias, spans[0].high * terms + self.bias)

    def _totals(self, source: Signal, steps: int) -> tuple[int, int]:
        """The range of the result."""
        self._check_channels(self.bias, source)
        terms = steps if source.timed else 1
        low, high = (terms * end for end in (source.low, source.high))
        return low + int(self.bias.min()), high + int(self.bias.max())

    @staticmethod
    def _summed(x: Sequence[np.ndarray], timed: Sequence[bool]) -> np.ndarray:
        """The currents (N, C, H, W), added up over time."""
        return x[0].sum(1) if timed[0] else x[0]
