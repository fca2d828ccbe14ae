"""Adaptive average pools whose windows overlap or repeat pixels: part of a Linear behind them, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .base import Layer, Shape

__all__ = ["Resample"]


@dataclass(frozen=True)
class Resample(Layer):
    """Averages over windows that cut a map into ``rows`` x ``columns``, as ``nn.AdaptiveAvgPool2d`` places them."""

    rows: int
    columns: int

    def value(self, x: Sequence[Tensor]) -> Tensor:
        return F.adaptive_avg_pool2d(x[0], (self.rows, self.columns))

    def shape(self, before: Sequence[Shape]) -> Shape:
        return before[0][0], self.rows, self.columns

    def matrix(self, high: int, wide: int) -> Tensor:
        """What a pixel of a map of ``high`` x ``wide`` (H * W) adds to each of the results (rows * columns); double."""
        pixels = torch.eye(high * wide, dtype=torch.float64).view(-1, 1, high, wide)
        return self.value([pixels]).flatten(1).T
