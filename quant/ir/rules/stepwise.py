"""What the rules have in common that follow the membrane from step to step."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..node import by_channel
from ..rule import Rule

if TYPE_CHECKING:
    from ..ops.integrate_and_fire import IF

__all__ = ["Stepwise"]


class Stepwise(Rule):
    """Common part of the rules of the form: for each time step t in order,
    v += I_t + bias;  s_t by v and the spikes so far;  v -= s_t * threshold."""

    folds: ClassVar = True

    @abstractmethod
    def spikes(self, node: IF, v: np.ndarray, fired: np.ndarray) -> np.ndarray:
        """The spikes of a step, of membranes ``v`` (N, C, H, W) with ``fired`` spikes so far."""

    def reference(self, node: IF, currents: np.ndarray) -> np.ndarray:
        """The membrane step by step."""
        threshold, bias = by_channel(node.threshold), by_channel(node.bias)
        v = np.zeros_like(currents[:, 0]) + node.v0.reshape(-1, *(node.v0.shape[1:] or (1, 1)))
        fired, spikes = np.zeros_like(v), np.empty_like(currents)
        for t in range(currents.shape[1]):
            v = v + currents[:, t] + bias
            spikes[:, t] = self.spikes(node, v, fired)
            v = v - spikes[:, t] * threshold
            fired += spikes[:, t]
        return spikes


def reaches(node: IF, v: np.ndarray) -> np.ndarray:
    """Whether membranes ``v`` (N, C, H, W) reach their thresholds."""
    return v > by_channel(node.threshold) if node.strict else v >= by_channel(node.threshold)
