"""Rule ``causal``: a spike in the step in which the membrane reaches the threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..reach.neuron import Watch
from ..reach.node import NodeReach
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

    def settle(self, node: IF, current: np.ndarray, watch: Watch, found: NodeReach) -> None:
        """Where only the number of spikes is compared, a changed spike may be made up for by a later one: the few
        neurons with a changed spike are computed again, with the other threshold."""
        if not found.place.counted:
            return
        missed, changed = found.branches["thresholds"].missed, np.zeros_like(watch.moved)
        for d, move in enumerate((1, -1)):
            n, c, y, x = np.nonzero(watch.moved[d] & missed[d][:, None, None])
            threshold = node.threshold[c] + move
            v, count = node.v0[c, y, x] if node.v0.ndim == 3 else node.v0[c], np.zeros(len(n), np.int64)
            for t in range(found.place.steps):
                v = v + (current[n, t, c, y, x] if current.ndim == 5 else current[n, c, y, x]) + node.bias[c]
                spike = v > threshold if node.strict else v >= threshold
                v, count = v - spike * threshold, count + spike
            changed[d][n, c, y, x] = count != watch.number[n, c, y, x]
        watch.moved = changed
