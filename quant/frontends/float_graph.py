"""What most front ends give: a graph of layers in floats, from which every method and the conversion begin."""

from __future__ import annotations

from typing import NamedTuple

from .layers import Layer, Weights
from .repeat import repeated
from .structure import Shape, check, size

__all__ = ["FloatGraph"]


class FloatGraph(NamedTuple):
    """``layers``, each behind its sources, the last one the ``Linear`` of the classes; those of currents that several
    layers take once for each (``quant.frontends.repeat``). ``shape`` (C, H, W) of the image, None where neither the
    source nor its reader was told."""

    layers: list[Layer]
    shape: Shape | None

    @property
    def classes(self) -> int:
        """How many logits it gives."""
        last = self.layers[-1]
        assert isinstance(last, Weights)
        return len(last.weight)

    @classmethod
    def of(cls, layers: list[Layer], answer: str, shape: Shape | None = None) -> FloatGraph:
        """The graph of ``layers`` as a model has them, each behind its sources; ``answer`` is the one that gives the
        logits.

        A max-pool before its activation is moved behind it, which is the same for a rising function; see
        ``structure.check`` for the other rules. Raises UnsupportedLayer, naming the layer, for a structure that has no
        integer counterpart, and, with a ``shape``, NetworkError where the sizes of layers do not fit each other.
        """
        return cls(size(repeated(check(layers, answer)), shape), shape)
