"""Upsampling: a window of one pixel that is walked again and again."""

from __future__ import annotations

from ....hdl.cores.protocol import CoreSpec
from ....hdl.cores.upsample.spec import UpsampleSpec
from ....hdl.cores.window.geometry import WindowGeometry
from ....quant.ir.ops.upsample import Upsample
from ....quant.ir.windows import each_way
from ...folding.fold import Fold
from ..fitting import divisors, refuse_weights
from ..layers import StageNodes
from ..registry import Head, head

__all__ = ["Upsamples"]


@head(Upsample)
class Upsamples(Head):
    """The head of an upsampling: its window holds two rows of the coarser map, one that is handed out and one that
    comes in."""

    def choices(self, layer: StageNodes) -> list[Fold]:
        """As many channels out as in."""
        return [Fold(n, n, 1) for n in divisors(layer.channels[1])]

    def check(self, layer: StageNodes, fold: Fold) -> None:
        """Refuse what does not divide, other outputs than inputs, and all that is a matter of weights."""
        refuse_weights(layer, fold, "an upsampling", "gives the channels that it takes", "hands out every word")

    def walk(self, layer: StageNodes, fold: Fold) -> int:
        """A cycle for every word that leaves."""
        channels, height, width = layer.source.shape
        rows, columns = each_way(self._node(layer).factor)
        return channels // fold.inputs * height * rows * width * columns

    def lower(self, layer: StageNodes, fold: Fold) -> tuple[WindowGeometry, list[CoreSpec]]:
        """The window that hands out every pixel several times; nothing behind it."""
        form, (channels, height, width) = layer.words_in(fold.inputs), layer.source.shape
        geometry = WindowGeometry(
            i_format=form,
            channels=channels,
            height=height,
            width=width,
            order="channels",
            times=each_way(self._node(layer).factor),
        )
        return geometry, [UpsampleSpec(i_format=form)]

    def _node(self, layer: StageNodes) -> Upsample:
        node = layer.nodes[0]
        assert isinstance(node, Upsample)
        return node
