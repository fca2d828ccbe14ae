"""Pools: a window walked channel by channel, and the pool array."""

from __future__ import annotations

from ....hdl.cores.pool.spec import PoolSpec
from ....hdl.cores.protocol import CoreSpec
from ....hdl.cores.window.geometry import WindowGeometry
from ....hdl.streams.words import WordFormat
from ....quant.ir.ops import MaxPool, Pooling, SumPool
from ...folding.fold import Fold
from ..fitting import divisors, refuse_weights
from ..layers import StageNodes
from ..registry import Head, head

__all__ = ["Pools"]


@head(SumPool, MaxPool)
class Pools(Head):
    """The head of pools. Another pool is a subclass with an :meth:`array` of its own."""

    def choices(self, layer: StageNodes) -> list[Fold]:
        """As many channels out as in."""
        return [Fold(n, n, 1) for n in divisors(layer.channels[1])]

    def check(self, layer: StageNodes, fold: Fold) -> None:
        """Refuse what does not divide, other outputs than inputs, and skipping."""
        refuse_weights(layer, fold, "a pool", "takes and gives the same channels", "looks at every word")

    def lower(self, layer: StageNodes, fold: Fold) -> tuple[WindowGeometry, list[CoreSpec]]:
        """The window of the pool; its array."""
        node, form = layer.nodes[0], layer.words_in(fold.inputs)
        assert isinstance(node, Pooling)
        channels, height, width = layer.source.shape
        geometry = WindowGeometry(
            i_format=form,
            channels=channels,
            height=height,
            width=width,
            kernel=node.windows.kernel,
            stride=node.windows.stride,
            padding=node.windows.padding,
            order="channels",
        )
        return geometry, [self.array(layer, node, form)]

    def array(self, layer: StageNodes, node: Pooling, form: WordFormat) -> CoreSpec:
        """The core that makes a word of every window of ``node``, whose words are of ``form``. The maximum of spikes
        that do not travel as counts is that of the running counts; of ordered ones it is that of every step."""
        spikes = layer.source.kind == "spikes" and not layer.counts[0] and not layer.source.ordered
        kind = "sum" if isinstance(node, SumPool) else "max_spikes" if spikes else "max"
        return PoolSpec(kind=kind, words=node.area, i_format=form)
