"""The quantiser."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ....hdl.cores.requant.spec import RequantSpec
from ....quant.ir.ops import MapReadout, Readout, Requant
from ..chain import Chain
from ..layers import StageNodes
from ..registry import Tail, tail

__all__ = ["Quantiser"]


@tail(Requant)
class Quantiser(Tail):
    """A read-out may follow it. Without its subtraction it is smaller than the multiplexer that channels would share it
    through."""

    then = (Readout, MapReadout)
    shares = False

    def start(self, node: Requant) -> np.ndarray:
        """What it takes off."""
        return -node.bias

    def moved(self, layer: StageNodes, node: Requant, excess: np.ndarray) -> Requant:
        """It takes more off."""
        return replace(node, bias=node.bias + excess)

    def lower(self, chain: Chain, node: Requant) -> None:
        """The quantiser, with the bias that is left."""
        spec = RequantSpec(
            bias=chain.rest(node, node.bias),
            shift=node.shift[chain.order],
            lo=node.lo,
            hi=node.hi,
            i_format=chain.form,
            ranges=chain.ranges,
        )
        chain.append(spec, np.tile([node.lo, node.hi], (len(chain.order), 1)))
