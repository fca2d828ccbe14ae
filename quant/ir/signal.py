"""What flows between the nodes of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Signal"]


@dataclass(frozen=True)
class Signal:
    """What flows out of a node.

    Attributes: ``kind`` ("values", "spikes", "currents", or of outputs "logits", one a class, or "sums", a map of
    them); ``shape`` (C, H, W); ``timed``, whether it differs from time step to time step; ``low`` and ``high``,
    the range over all inputs, of one time step; ``ordered``, of spikes of both signs, whether those of a neuron come
    first and are of one sign, so that their number tells them.
    """

    kind: Literal["values", "spikes", "currents", "logits", "sums"]
    shape: tuple[int, int, int]
    timed: bool
    low: int
    high: int
    ordered: bool = False
