"""Rule ``signed``: a spike too many is taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from .stepwise import Stepwise, reaches

if TYPE_CHECKING:
    from ..ops.integrate_and_fire import IF

__all__ = ["Signed"]


class Signed(Stepwise):
    """Fast-SNN (Hu et al. 2023), with N = 0 at the start: v += I_t + bias; where v >= threshold a spike s_t = 1; else
    where v < 0 and N > 0 a negative one, s_t = -1; else s_t = 0;  v -= s_t * threshold;  N += s_t."""

    name: ClassVar = "signed"
    lowest: ClassVar = -1

    def spikes(self, node: IF, v: np.ndarray, fired: np.ndarray) -> np.ndarray:
        """Where the membrane reaches the threshold, and where it is below 0 with a spike to take back."""
        up = reaches(node, v)
        return up.astype(np.int64) - (~up & (v < 0) & (fired > 0))
