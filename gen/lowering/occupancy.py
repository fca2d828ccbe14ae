"""How many pixels wait in the FIFO of a shortcut: a first guess, what the cycle law says, and what can wait at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...hdl.cores.merge.spec import MergeSpec
from ...hdl.streams.stage import StageSpec
from ...quant.ir.ops import Conv2d
from .layers import StageNodes, StageShortcut

if TYPE_CHECKING:
    from ..design import Design

__all__ = ["guessed_occupancy", "most_waiting", "occupancy_of"]


def occupancy_of(design: Design) -> dict[str, list[float]]:
    """Pixels for which the FIFOs of ``design`` have room, by stage with shortcuts."""
    return {s.name: [merge.slots / merge.words for merge in s.merges] for s in design.stages if s.merges}


def guessed_occupancy(layers: Sequence[StageNodes]) -> dict[str, list[float]]:
    """Pixels that the stages between a fork and the merge hold back before their first result: the rows that their
    windows wait for."""

    def held(layer: StageNodes) -> float:
        """Rows of a window, as a share of the frame."""
        node = layer.nodes[0]
        if not isinstance(node, Conv2d):
            return 1.0
        return (node.windows.extent[0] - node.windows.padding[0][0]) / layer.source.shape[1]

    def lag(layer: StageNodes, skip: StageShortcut) -> float:
        own, between = _between(layers, layer, skip)
        return max(1.0, _pixels(skip) * (sum(map(held, between)) - (held(own) if own is not None else 0.0)))

    return {layer.name: [lag(layer, skip) for skip in layer.shortcuts] for layer in layers if layer.shortcuts}


def most_waiting(layers: Sequence[StageNodes], stages: Mapping[str, StageSpec]) -> dict[str, list[int]]:
    """Words of each shortcut that can wait at most, whatever the stages' timing: those of all pixels for which the
    stages between its fork and the merge have room. 0 where neither these nor those before them skip words."""

    def room(layer: StageNodes) -> float:
        """What a window's ring and the FIFO behind the stage hold, as a share of the frame."""
        window = stages[layer.name].window
        several = window.pixels > 1  # a credit is then for all results of a block
        each = window.pixels / float(np.prod(window.o_size)) if several else 1 / window.results
        return window.kept + (window.credits + 1) * each

    def words(layer: StageNodes, skip: StageShortcut, merge: MergeSpec) -> int:
        _, between = _between(layers, layer, skip)
        return merge.room(int(np.ceil(_pixels(skip) * sum(map(room, between)))))

    found, uneven = {}, False
    for layer in layers:
        uneven |= bool(stages[layer.name].window.chunk)
        merges = zip(layer.shortcuts, stages[layer.name].merges, strict=True)
        found[layer.name] = [words(layer, skip, merge) if uneven else 0 for skip, merge in merges]
    return found


def _pixels(skip: StageShortcut) -> float:
    """Pixels of a frame of the shortcut."""
    return float(np.prod(skip.signal.shape[1:]))


def _between(
    layers: Sequence[StageNodes], layer: StageNodes, skip: StageShortcut
) -> tuple[StageNodes | None, list[StageNodes]]:
    """The stage with the shortcut's own convolution, if any, and those from the merge in ``layer`` back to the fork."""
    makers = {maker.nodes[-1].name: maker for maker in layers}
    own = makers.get(skip.node) if skip.gain is None else None
    origin = own.input if own is not None else skip.node
    between, at = [layer], layer.input
    while at != origin and at in makers:
        between.append(makers[at])
        at = makers[at].input
    return own, between
