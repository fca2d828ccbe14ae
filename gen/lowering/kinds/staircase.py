"""The quantiser with a threshold for every step."""

from __future__ import annotations

import numpy as np

from ....hdl.cores.staircase.spec import StaircaseSpec
from ....quant.ir.ops import Readout
from ....quant.ir.ops.staircase import Staircase
from ..chain import Chain
from ..registry import Tail, tail

__all__ = ["Stairs"]


@tail(Staircase)
class Stairs(Tail):
    """Its comparisons; a read-out may follow them."""

    then = (Readout,)

    def lower(self, chain: Chain, node: Staircase) -> None:
        """The staircase."""
        spec = StaircaseSpec(threshold=node.threshold, low=node.low, i_format=chain.form, ranges=chain.ranges)
        chain.append(spec, np.tile([node.low, node.high], (len(node.threshold), 1)))
