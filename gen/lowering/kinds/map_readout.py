"""The read-out of a map."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ....hdl.cores.bias.spec import BiasSpec
from ....quant.ir.ops import MapReadout
from ..chain import Chain
from ..layers import StageNodes
from ..registry import Tail, tail

__all__ = ["Maps"]


@tail(MapReadout)
class Maps(Tail):
    """Sums as they come, with their biases; where the accumulators begin with these, nothing is left to do."""

    def start(self, node: MapReadout) -> np.ndarray:
        """What it adds."""
        return node.bias

    def moved(self, layer: StageNodes, node: MapReadout, excess: np.ndarray) -> MapReadout:
        """It adds less, to the one current of all time steps."""
        return replace(node, bias=node.bias - excess)

    def lower(self, chain: Chain, node: MapReadout) -> None:
        """The biases that are left, if any."""
        bias = chain.rest(node, node.bias)
        if bias.any():
            spec = BiasSpec(bias=bias, i_format=chain.form, ranges=chain.ranges)
            chain.append(spec, spec.sums)
