"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..bases.synapse import Synapse, product
from ..signal import Signal

__all__ = ["Linear"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Linear(Synapse):
    """I[o] = sum over i of weight[o, i] * s[i], every time step. ``weight`` has shape (out, in)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight.ndim != 2:
            self._fail(f"weight must have shape (out, in), not {self.weight.shape}")

    def _check_inputs(self, source: Signal) -> None:
        self._check_vector(source, "; put a Flatten before it")
        if self.weight.shape[1] != source.shape[0]:
            self._fail(f"its weights have {self.weight.shape[1]} inputs, but {self.source} gives {source.shape[0]}")

    def reference_step(self, x: np.ndarray) -> np.ndarray:
        """A product of matrices."""
        return product(x.reshape(len(x), -1), self.weight)[:, :, None, None]

    @classmethod
    def array_shape(
        cls, field: str, shape: tuple[int, ...], entry: Mapping[str, Any], source: tuple[int, int, int]
    ) -> tuple[bool, str]:
        """(out, in), of a vector."""
        c, h, w = source
        return len(shape) == 2 and shape[1] == c and (h, w) == (1, 1), f"(out, {c}), of a vector"
