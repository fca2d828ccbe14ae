"""From a layer and its fold to a stage: how much of it works in parallel, and which cores that takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...hdl.cores.merge.spec import MergeSpec
from ...hdl.cores.neuron.spec import NeuronSpec
from ...hdl.cores.pool.spec import PoolSpec
from ...hdl.cores.protocol import CoreSpec
from ...hdl.cores.readout.spec import ReadoutSpec
from ...hdl.cores.requant.spec import RequantSpec
from ...hdl.cores.serialiser.spec import SerialiserSpec
from ...hdl.cores.synapse.spec import SynapseSpec
from ...hdl.cores.window.spec import WindowSpec, chunk_for
from ...hdl.streams.stage import StageSpec
from ...hdl.streams.words import WordFormat
from ...quant.ir.ops import IF, Conv2d, MaxPool, Pool, Readout, Requant, Synapse
from ..folding.fold import Fold
from .layers import Layer, PlanError, Skip
from .neurons import neuron_cores

__all__ = ["UNLIMITED", "build_stage", "fold_choices"]

UNLIMITED = 1 << 40
"""Words of a FIFO whose depth is not yet known."""


def divisors(n: int) -> list[int]:
    """The divisors of ``n``, ascending."""
    return [k for k in range(1, n + 1) if n % k == 0]


def fold_choices(layer: Layer) -> list[Fold]:
    """All folds of a layer."""
    outputs, inputs = layer.channels
    if isinstance(layer.nodes[0], Pool):
        return [Fold(n, n, 1) for n in divisors(inputs)]
    if layer.groups > 1:
        pairs = _grouped_choices(layer)
    else:
        pairs = [(o, i) for o in divisors(outputs) for i in (*divisors(inputs), *_column_inputs(layer))]
    return [Fold(o, i, s) for o, i in pairs for s in divisors(layer.time_fold)]


def _grouped_choices(layer: Layer) -> list[tuple[int, int]]:
    """(outputs, inputs) of a grouped convolution: a part of one group, or several whole groups."""
    outputs, inputs = (n // layer.groups for n in layer.channels)
    whole = [(n * outputs, n * inputs) for n in divisors(layer.groups)[1:]]
    return [(o, i) for o in divisors(outputs) for i in divisors(inputs)] + whole


def _blocks(layer: Layer, fold: Fold) -> int:
    """Groups of a grouped convolution that ``fold`` computes at once."""
    return max(1, fold.inputs * layer.groups // layer.channels[1]) if layer.groups > 1 else 1


def _column_inputs(layer: Layer) -> list[int]:
    """``inputs`` beyond the channels: all channels of a whole kernel column at once."""
    node = layer.nodes[0]
    if not isinstance(node, Conv2d) or node.weight.shape[2] == 1 or layer.groups > 1:
        return []
    return [layer.channels[1] * node.weight.shape[2]]


def _check(layer: Layer, fold: Fold) -> None:
    if layer.groups > 1 and (fold.outputs, fold.inputs) not in _grouped_choices(layer):
        each = tuple(n // layer.groups for n in layer.channels)
        raise PlanError(
            f"{layer.name}: fold outputs={fold.outputs}, inputs={fold.inputs} does not fit {layer.groups} groups of "
            f"{each[0]} outputs and {each[1]} inputs; choose a part of one group (outputs one of "
            f"{', '.join(map(str, divisors(each[0])))}, inputs one of {', '.join(map(str, divisors(each[1])))}), or "
            f"n times {each[0]} outputs and n times {each[1]} inputs with n one of "
            f"{', '.join(map(str, divisors(layer.groups)))}"
        )
    (outputs, inputs), steps = layer.channels, layer.time_fold
    columns = _column_inputs(layer)
    for what, value, whole, more in (
        ("outputs", fold.outputs, outputs, []),
        ("inputs", fold.inputs, inputs, columns),
        ("steps", fold.steps, steps, []),
    ):
        if value not in more and (value < 1 or whole % value):
            reason = "" if what != "steps" or steps > 1 else " (only causal and signed neurons on spikes fold time)"
            raise PlanError(
                f"{layer.name}: fold {what}={value} does not divide {whole}{reason}; "
                f"choose one of {', '.join(map(str, [*divisors(whole), *more]))}"
            )
    if isinstance(layer.nodes[0], Pool) and fold.outputs != fold.inputs:
        raise PlanError(
            f"{layer.name}: a pool takes and gives the same channels, so outputs={fold.outputs} must equal "
            f"inputs={fold.inputs}"
        )
    if fold.skip:
        _check_skip(layer, fold)


def chunk_of(layer: Layer, inputs: int) -> int:
    """Window words of which skipping looks at the flags together (``hdl.cores.window.spec``); 1 where it has no
    hardware."""
    channels = layer.channels[1]
    if isinstance(layer.nodes[0], Pool) or layer.groups > 1 or inputs > channels:
        return 1
    return chunk_for(channels // inputs)


def _check_skip(layer: Layer, fold: Fold) -> None:
    channels = layer.channels[1]
    if chunk_of(layer, fold.inputs) > 1:
        return
    remedy = "leave skip out"
    if isinstance(layer.nodes[0], Pool):
        reason = "a pool looks at every word"
    elif layer.groups > 1:
        reason = "a grouped convolution walks a part of a pixel only"
    else:
        reason = f"inputs={fold.inputs} does not cut the {channels} channels of a pixel into an even number of words"
        if choices := [str(n) for n in divisors(channels) if channels // n % 2 == 0]:
            remedy = f"choose inputs from {', '.join(choices)}, or {remedy}"
    raise PlanError(f"{layer.name}: fold skip=true does not fit, {reason}; {remedy}")


def build_stage(layer: Layer, fold: Fold) -> StageSpec:
    """Make the stage of ``layer`` with ``fold``. Raises PlanError where the fold does not fit."""
    _check(layer, fold)
    source, node = layer.source, layer.nodes[0]
    columns = fold.inputs in _column_inputs(layer)
    lanes = layer.channels[1] if columns else fold.inputs
    i_format = WordFormat(lanes, layer.steps if source.timed else 1, source.low, source.high)
    if layer.counts[0]:
        i_format = i_format.summed
    geometry: dict[str, Any] = dict(zip(("channels", "height", "width"), source.shape, strict=True))
    geometry |= dict(kernel=(1, 1), stride=1, padding=0, order="taps", groups=1, scans=1)
    if isinstance(node, Pool):
        gate = source.kind == "spikes" and not layer.counts[0]
        kind = "sum" if not isinstance(node, MaxPool) else "max_spikes" if gate else "max"
        cores: tuple[CoreSpec, ...] = (PoolSpec(kind=kind, words=node.kernel**2, i_format=i_format),)
        geometry |= dict(kernel=(node.kernel, node.kernel), stride=node.stride, order="channels")
    else:
        assert isinstance(node, Synapse)
        if isinstance(node, Conv2d):
            geometry |= dict(kernel=node.weight.shape[2:], stride=node.stride, padding=node.padding, columns=columns)
            if layer.groups > 1:
                geometry |= dict(order="channels", part=max(1, node.weight.shape[1] // fold.inputs))
        else:
            geometry |= dict(channels=node.weight.shape[1], height=1, width=1)
        blocks = _blocks(layer, fold)
        weight = (layer.columns if columns else layer.rows).reshape(len(node.weight), -1, fold.inputs // blocks)
        cores = _cores(layer, fold, weight, replace(i_format, lanes=fold.inputs))
        synapse = cores[0]
        assert isinstance(synapse, SynapseSpec)
        geometry |= dict(groups=synapse.groups * blocks // layer.groups, scans=synapse.scans)
        if fold.skip:
            geometry |= dict(chunk=chunk_of(layer, fold.inputs), span=_span(cores))
        else:
            _check_turnaround(layer, fold, cores)
    window = WindowSpec(i_format=i_format, credits=1, rows=10**9, **geometry)
    window = replace(window, rows=ring_rows(window))
    stage = StageSpec(name=layer.name, window=window, cores=cores)
    # As many results on their way as the latency needs, so that a ready receiver never makes the stage wait.
    interval = window.scans * window.scan_cycles
    return replace(stage, window=replace(window, credits=-(-(stage.latency + stage.result_words) // interval)))


def ring_rows(window: WindowSpec) -> int:
    """Row slots of a window: those needed and one stride more, so that rows come in while others are read; or twice
    those needed, so that the next frame's first rows never wait: where that still fits a block RAM, or where the wait
    would be more than a fiftieth of the window's cycles. Where whole kernel columns are read, every further row widens
    the multiplexer that lines the rows up, so that only the wait counts."""
    lean, doubled = window.rows_needed + window.stride, 2 * window.rows_needed
    wait = (doubled - lean) * window.row_words
    fits = not window.columns and doubled * window.row_words * window.i_format.width <= 16384
    return max(lean, doubled) if fits or 50 * wait > window.cycles else lean


def _cores(layer: Layer, fold: Fold, weight: np.ndarray, i_format: WordFormat) -> tuple[CoreSpec, ...]:
    node, neuron, quantiser, readout = layer.nodes[0], layer.find(IF), layer.find(Requant), layer.find(Readout)
    assert isinstance(node, Synapse)
    timed = layer.source.timed and layer.steps > 1
    sum_time = timed and layer.sums
    # A bias behind the sum is the accumulator's start value where every channel has an accumulator of its own.
    wanted = -quantiser.bias if quantiser is not None else readout.bias if readout is not None else None
    own = fold.outputs == len(weight) and weight.shape[1] > 1
    start = wanted if wanted is not None and own else np.zeros(len(weight), np.int64)
    synapse = SynapseSpec(
        weight=weight,
        weight_bits=node.weight_bits,
        i_format=i_format,
        outputs=fold.outputs,
        steps=fold.steps if layer.time_fold > 1 else i_format.steps,
        sum_time=sum_time,
        start=start,
        blocks=_blocks(layer, fold),
        addressed=fold.skip,
        logic=fold.logic,
    )
    cores: list[CoreSpec] = [synapse]
    # A quantiser without a subtraction is smaller than the multiplexer that would let channels share it.
    # Where words are skipped, shared units must not be what keeps a stage from running twice as fast.
    cycles = synapse.words // (2 if fold.skip else 1)
    if (lanes := _lanes(layer, synapse, cycles)) < synapse.outputs and (quantiser is None or not own or layer.skips):
        cores.append(SerialiserSpec(synapse.o_format, lanes))
    ranges, i_format = synapse.ranges, cores[-1].o_format
    for skip in layer.skips:
        merge = _merge(layer, skip, synapse, i_format, ranges)
        cores.append(merge)
        ranges, i_format = merge.o_ranges, merge.o_format
    if neuron is not None:
        fires = neuron_cores(neuron, layer.steps, i_format, ranges, synapse.scans, constant=not timed)
        cores += [replace(core, counts=layer.counts[1]) if isinstance(core, NeuronSpec) else core for core in fires]
    if quantiser is not None:
        rest = np.zeros_like(quantiser.bias) if own else quantiser.bias
        cores.append(
            RequantSpec(
                bias=rest,
                shift=quantiser.shift,
                lo=quantiser.lo,
                hi=quantiser.hi,
                i_format=i_format,
                ranges=ranges,
            )
        )
        ranges = np.tile([quantiser.lo, quantiser.hi], (len(weight), 1))
    if readout is not None:
        rest = np.zeros_like(readout.bias) if own and quantiser is None else readout.bias
        cores.append(ReadoutSpec(bias=rest, i_format=cores[-1].o_format, ranges=ranges))
    return tuple(cores)


def shared_lanes(synapse: SynapseSpec, cycles: int | None = None) -> int:
    """Lanes of the neurons (quantisers, read-out) behind an array: as few as have time for all outputs before the next
    currents come, ``cycles`` later (by default those of all words). Where the window is scanned for groups of steps,
    membranes must stay, so every output has its own."""
    if synapse.scans > 1:
        return synapse.outputs
    cycles = synapse.words if cycles is None else cycles
    return next(n for n in divisors(synapse.outputs) if synapse.outputs // n <= cycles)


def _span(cores: tuple[CoreSpec, ...]) -> int:
    """Cycles by which the ends of scans must lie apart for what comes behind the array."""
    ratios = [core.ratio for core in cores if isinstance(core, SerialiserSpec)]
    return max([1, *ratios, *(core.turnaround for core in cores if isinstance(core, NeuronSpec))])


def _lanes(layer: Layer, synapse: SynapseSpec, cycles: int) -> int:
    """:func:`shared_lanes`, few enough to divide the channels of zero-padded shortcuts."""
    lanes = shared_lanes(synapse, cycles)
    edges = [edge for skip in layer.skips for edge in (skip.offset, skip.signal.shape[0])]
    found = [n for n in divisors(synapse.outputs) if n >= lanes and not any(edge % n for edge in edges)]
    if not found:
        raise PlanError(
            f"{layer.name}: fold outputs={synapse.outputs} needs {lanes} neuron units or more, a number that divides "
            f"the channels of its shortcut ({', '.join(map(str, edges))}); choose other outputs"
        )
    return found[0]


def _merge(layer: Layer, skip: Skip, synapse: SynapseSpec, i_format: WordFormat, ranges: np.ndarray) -> MergeSpec:
    channels, signal = skip.signal.shape[0], skip.signal
    if skip.maker is not None:  # the words that it hands out are the same with every fold, but for their lanes
        form = replace(build_stage(skip.maker, Fold(1, 1, 1)).o_format, lanes=i_format.lanes)
    else:
        form = WordFormat(i_format.lanes, layer.steps if signal.timed else 1, signal.low, signal.high)
        form = form.summed if skip.counts else form
    gain = np.zeros(len(ranges), np.int64)
    gain[skip.offset : skip.offset + channels] = (
        1 if skip.gain is None else skip.gain.gain[skip.offset : skip.offset + channels]
    )
    if layer.sums and layer.source.timed and not signal.timed:
        gain *= layer.steps
    return MergeSpec(
        gain=gain,
        first=skip.offset,
        channels=channels,
        skip_format=form,
        i_format=i_format,
        scans=synapse.scans,
        result_words=synapse.outputs // i_format.lanes,
        ranges=ranges,
        depth=UNLIMITED,
    )


def _check_turnaround(layer: Layer, fold: Fold, cores: tuple[CoreSpec, ...]) -> None:
    synapse, neuron = cores[0], cores[-1]
    if isinstance(neuron, NeuronSpec) and isinstance(synapse, SynapseSpec) and neuron.turnaround > synapse.words:
        raise PlanError(
            f"{layer.name}: fold steps={fold.steps} scans the window of {synapse.words} words again while the "
            f"membrane is still being computed ({neuron.turnaround} cycles); choose fewer inputs or more steps"
        )
