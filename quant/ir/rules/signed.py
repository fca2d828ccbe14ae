"""Rule ``signed``: a spike too many is taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..reach.branches import Branches
from ..reach.neuron import Watch
from ..reach.node import NodeReach
from ..span import between
from .stepwise import Back, Stepwise, reaches

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

    def back(self, low: np.ndarray, high: np.ndarray, most: np.ndarray) -> Back:
        """Below 0 with a spike to take back."""
        zero, some = np.zeros_like(most), most > 0
        moves = [some & between(low, high, zero, most - 1), some & between(low, high, -most, zero - 1)]
        return Back((low < 0) & some, np.stack(moves), np.where(some, np.minimum(high, -1), low - 1))

    def look(self, node: IF, g: np.ndarray, t: int, watch: Watch, found: NodeReach) -> None:
        """Branches ``dips`` (3, T, C): a membrane of 0 or more with spikes to take back, below 0 with such, and below 0
        without. With a threshold higher by d the test v < 0 becomes v < n * d."""
        v, number = g + watch.threshold + node.strict, watch.number
        some, under = number > 0, v < 0
        for k, part in enumerate((some & ~under, some & under, ~some & under)):
            found.branches["dips"].seen[k, t] |= part.any((0, 2, 3))
        watch.moved[0] |= some & ~under & (v < number)
        watch.moved[1] |= some & under & (v >= -number)

    def texts(self, kind: str, branches: Branches) -> list[str]:
        """The test for taking a spike back."""
        return [f"{branches.part} channels have a test for taking a spike back that went one way only"]
