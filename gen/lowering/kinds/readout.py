"""The read-out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ....hdl.cores.readout.spec import ReadoutSpec
from ....quant.ir.ops import Readout
from ..chain import Chain
from ..layers import StageNodes
from ..registry import Tail, tail

__all__ = ["Logits"]


@tail(Readout)
class Logits(Tail):
    """Logits, and the class."""

    def start(self, node: Readout) -> np.ndarray:
        """What it adds."""
        return node.bias

    def moved(self, layer: StageNodes, node: Readout, excess: np.ndarray) -> Readout:
        """It adds less, to the one current of all time steps."""
        return replace(node, bias=node.bias - excess)

    def lower(self, chain: Chain, node: Readout) -> None:
        """The read-out, with the bias that is left."""
        bias = chain.rest(node, node.bias)
        chain.append(ReadoutSpec(bias=bias, i_format=chain.form, ranges=chain.ranges), chain.ranges)
