"""The fully connected layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..signal import Signal
from .synapse import Synapse, product

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
