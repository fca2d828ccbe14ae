"""How many pixels wait in the FIFO of a shortcut: a first guess, and what the cycle law says of a design."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..quant.nodes import Conv2d
from .design import Design
from .layers import Layer, Skip

__all__ = ["first_lags", "lags_of"]


def lags_of(design: Design) -> dict[str, list[float]]:
    """Pixels for which the FIFOs of ``design`` have room, by stage with shortcuts."""
    return {s.name: [merge.depth / merge.words for merge in s.merges] for s in design.stages if s.merges}


def first_lags(layers: Sequence[Layer]) -> dict[str, list[float]]:
    """Pixels that the stages between a fork and the merge hold back before their first result: the rows that their
    windows wait for."""
    makers = {layer.nodes[-1].name: layer for layer in layers}

    def held(layer: Layer, pixels: float) -> float:
        """Rows of a window, in pixels of a frame that has ``pixels``."""
        node = layer.nodes[0]
        if not isinstance(node, Conv2d):
            return pixels
        rows = node.weight.shape[2] - node.padding
        return rows * pixels / layer.source.shape[1]

    def lag(layer: Layer, skip: Skip) -> float:
        pixels = float(np.prod(skip.signal.shape[1:]))
        own = makers.get(skip.node) if skip.gain is None else None
        origin = own.input if own is not None else skip.node
        found, at = held(layer, pixels), layer.input
        while at != origin and at in makers:
            found, at = found + held(makers[at], pixels), makers[at].input
        return max(1.0, found - (held(own, pixels) if own is not None else 0.0))

    return {layer.name: [lag(layer, skip) for skip in layer.skips] for layer in layers if layer.skips}
