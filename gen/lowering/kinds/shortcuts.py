"""Shortcuts into a stage: what is added to its currents."""

from __future__ import annotations

import numpy as np

from ....hdl.cores.merge.spec import MergeSpec, merged_ranges
from ....hdl.cores.synapse.figures import weighted_ranges
from ....hdl.streams.words import WordFormat
from ..chain import Chain
from ..layers import StageNodes, StageShortcut

__all__ = ["add_shortcut"]


def add_shortcut(chain: Chain, skip: StageShortcut) -> None:
    """Add the words of ``skip`` to the currents of ``chain``; its FIFO has no limit yet."""
    layer, synapse = chain.layer, chain.synapse
    blocks = chain.blocks
    merge = MergeSpec(
        gain=_gain(layer, skip, blocks.channels)[chain.order],
        first=skip.offset,
        channels=skip.signal.shape[0],
        shortcut_format=_words(skip, layer.steps, chain.form.lanes),
        i_format=chain.form,
        scans=synapse.scans,
        result_words=synapse.results // chain.form.lanes,
        ranges=chain.ranges,
        blocks=blocks if blocks.pixels > 1 or blocks.idle else None,
    )
    chain.append(merge, merge.o_ranges)


def _gain(layer: StageNodes, skip: StageShortcut, outputs: int) -> np.ndarray:
    """By how much every channel of the shortcut counts; 1 for currents."""
    inside = slice(skip.offset, skip.offset + skip.signal.shape[0])
    gain = np.zeros(outputs, np.int64)
    gain[inside] = 1 if skip.gain is None else skip.gain.gain[inside]
    return gain * layer.steps if layer.sums and layer.source.timed and not skip.signal.timed else gain


def _words(skip: StageShortcut, steps: int, lanes: int) -> WordFormat:
    """The words that come in."""
    signal = skip.signal
    if skip.maker is not None:
        ranges = _currents(skip.maker)
        times = 1 if skip.maker.adds_up else skip.maker.words_in(1).steps
        return WordFormat(lanes, times, int(ranges[:, 0].min()), int(ranges[:, 1].max()))
    form = WordFormat(lanes, steps if signal.timed else 1, signal.low, signal.high)
    return form.summed if skip.counts else form


def _currents(layer: StageNodes) -> np.ndarray:
    """What the currents (Co, 2) of a stage can be that has nothing behind them; they are the same with every fold."""
    ranges = weighted_ranges(layer.figures, layer.words_in(1), layer.adds_up)
    for skip in layer.shortcuts:
        form = _words(skip, layer.steps, 1)
        sums = layer.adds_up and form.steps > 1
        ranges = merged_ranges(ranges, _gain(layer, skip, len(ranges)), form, sums)
    return ranges
