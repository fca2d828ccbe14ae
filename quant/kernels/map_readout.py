"""MapReadout: the sums over time of every pixel."""

from __future__ import annotations

from torch import Tensor

from ..ir.ops import MapReadout
from .registry import Inputs, by_channel, kernel


@kernel(MapReadout)
def _map_readout(node: MapReadout, inputs: Inputs) -> Tensor:
    x = inputs.total() if inputs.sources[0].timed else inputs.x[0]
    return x + by_channel(node.bias)
