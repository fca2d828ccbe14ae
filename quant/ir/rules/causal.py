"""Rule ``causal``: a spike in the step in which the membrane reaches the threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from .stepwise import Stepwise, reaches

if TYPE_CHECKING:
    from ..ops.integrate_and_fire import IF

__all__ = ["Causal"]


class Causal(Stepwise):
    """QCFS (Bu et al. 2022): for each time step t in order,
    v += I_t + bias;  s_t = [v >= threshold];  v -= s_t * threshold."""

    name: ClassVar = "causal"
    counts: ClassVar = True

    def spikes(self, node: IF, v: np.ndarray, fired: np.ndarray) -> np.ndarray:
        """Where the membrane reaches the threshold."""
        return reaches(node, v).astype(np.int64)
