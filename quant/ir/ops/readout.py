"""The answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..node import Node

__all__ = ["Readout"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Readout(Node):
    """logits[c] = sum_t I_t[c] + bias[c]; class = argmax, the lowest index on ties.

    Where the source is constant over time (values, T = 1) the sum has one term. ``bias`` has shape (C,) and is
    added once, not every time step.
    """

    bias: np.ndarray

    def __post_init__(self) -> None:
        super().__post_init__()
        self._arrays("bias")
        if self.bias.ndim != 1 or not self.bias.size:
            self._fail(f"bias must have one value a class, not shape {self.bias.shape}")
