"""What most front ends give: a graph of layers in floats, from which every method and the conversion begin."""

from __future__ import annotations

from typing import NamedTuple

from .layers import Heads, Layer, Shape, UnsupportedLayer, Weights
from .repeat import repeated
from .rewrites import Graph, rewritten
from .rewrites.sums import sums
from .structure import check, fitting, size

__all__ = ["FloatGraph", "plain"]


class FloatGraph(NamedTuple):
    """``layers``, each behind its sources, the last one the ``Linear`` of the classes, or the ``Heads`` of
    maps; those of currents that several layers take once for each (``quant.frontends.repeat``). ``shape`` (C, H, W) of
    the image, None where neither the source nor its reader was told. ``normalised``, mean and standard deviation (C,)
    that the source itself normalises the image with, None where it does not: the layers take what comes out of that.
    ``cut``, in words, what the source does with the maps behind these layers, which its reader has to do."""

    layers: list[Layer]
    shape: Shape | None
    normalised: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    cut: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """How many logits it gives, 0 where it gives maps."""
        if self.maps:
            return 0
        kinds, last = {layer.name: layer for layer in self.layers}, self.layers[-1]
        while not isinstance(last, Weights):  # a sum of layers, over parts of what they take
            last = kinds[last.sources[0]]
        return len(last.weight)

    @property
    def maps(self) -> tuple[str, ...]:
        """What the maps that it gives are called, none where it gives logits."""
        return last.outputs if isinstance(last := self.layers[-1], Heads) else ()

    @classmethod
    def of(cls, layers: list[Layer], answer: str, shape: Shape | None = None) -> FloatGraph:
        """The graph of ``layers`` as a model has them, each behind its sources; ``answer`` is the one that gives the
        logits.

        What has the same result in other words is rewritten (``quant.frontends.rewrites``), and a max-pool before its
        activation is moved behind it, which is the same for a rising function; see ``structure.check`` for the other
        rules. Raises UnsupportedLayer, naming the layer, for a structure that has no integer counterpart, and, with a
        ``shape``, NetworkError where the sizes of layers do not fit each other.
        """
        layers, answer, normalised = plain(layers, answer, shape)
        return cls(size(repeated(check(layers, answer)), shape), shape, normalised)


def plain(
    layers: list[Layer], answer: str, shape: Shape | None
) -> tuple[list[Layer], str, tuple[tuple[float, ...], tuple[float, ...]] | None]:
    """``layers`` rewritten, the one that gives the logits, and how the image is normalised (``rewrites``).

    Without a ``shape`` of the image, sizes that fit stand in for it. Nothing is rewritten that can stay as it is.
    """
    try:
        check(layers if shape is None else size(layers, shape), answer)
    except UnsupportedLayer:
        if shape is None:
            for layer in layers:
                layer.sized([])  # which is refused where the sizes of maps decide
            shape = fitting(layers)
        if shape is None:
            raise
        graph = rewritten(Graph(layers, answer, shape))
        return graph.layers, graph.answer, graph.normalised
    return layers if shape is None else sums(Graph(layers, answer, shape)).layers, answer, None
