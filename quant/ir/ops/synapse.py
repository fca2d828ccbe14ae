"""What the layers with weights have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..node import Node

__all__ = ["Synapse"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Synapse(Node):
    """Common part of the layers with weights: integers of ``weight_bits`` (2..8) bits, two's complement."""

    weight: np.ndarray
    weight_bits: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._arrays("weight")
        self._integers("weight_bits")
        if not 2 <= self.weight_bits <= 8:
            self._fail(f"weight_bits must be in 2..8, not {self.weight_bits}")
        low, high = -(1 << (self.weight_bits - 1)), (1 << (self.weight_bits - 1)) - 1
        if not self.weight.size:
            self._fail("weight is empty")
        if self.weight.min() < low or self.weight.max() > high:
            self._fail(
                f"weights must be in {low}..{high} ({self.weight_bits} bits), "
                f"found {self.weight.min()}..{self.weight.max()}"
            )
