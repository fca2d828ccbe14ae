"""Convolutions and linear layers: a window, a synapse array, and what stands behind its currents."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ....hdl.cores.protocol import CoreSpec
from ....hdl.cores.synapse.spec import SynapseSpec
from ....hdl.cores.window.geometry import WindowGeometry, chunk_for
from ....quant.ir.node import Node
from ....quant.ir.ops import Conv2d, Linear
from ...errors import PlanError
from ...folding.fold import Fold
from ..chain import Chain
from ..fitting import divisors, numbers, refuse_undivided
from ..layers import StageNodes
from ..registry import Head, head, tail_of, tails
from . import groups
from .rows import shortened
from .shortcuts import add_shortcut
from .sizes import (
    check_pixels,
    column_inputs,
    idle_lanes,
    nearly,
    pixels_tried,
    undivided,
    walk_words,
    whole_reason,
)

__all__ = ["Synapses"]


@head(Conv2d, Linear)
class Synapses(Head):
    """The head of weights."""

    currents = True

    def choices(self, layer: StageNodes) -> list[Fold]:
        """Divisors of outputs, inputs and time steps; whole kernel columns at once too; outputs that nearly divide, and
        several pixels. Inputs that nearly divide save little, and are tried with nothing else of the kind."""
        (outputs, inputs), idle = layer.channels, []
        if layer.groups > 1:
            pairs = groups.choices(layer)
        else:
            ways = [*divisors(inputs), *column_inputs(layer)]
            pairs = [(o, i) for o in divisors(outputs) for i in ways]
            idle = [Fold(o, i, layer.time_fold) for o in divisors(outputs) for i in nearly(inputs)]
        folds = [Fold(o, i, s) for o, i in pairs for s in divisors(layer.time_fold)]
        if not whole_reason(layer):
            folds += [Fold(o, i, layer.time_fold) for o in nearly(outputs) for i in ways]
        return folds + [replace(fold, pixels=n) for fold in folds for n in pixels_tried(layer, fold)] + idle

    def check(self, layer: StageNodes, fold: Fold) -> None:
        """Refuse what does not divide, and skipping where it has no hardware."""
        if layer.groups > 1:
            groups.check(layer, fold)
        more = range(1, layer.channels[0]) if undivided(layer, fold) else ()
        idle = [fold.inputs] if idle_lanes(layer, fold.inputs) else []
        refuse_undivided(layer, fold, [*idle, *column_inputs(layer)], more)
        if fold.pixels > 1:
            check_pixels(layer, fold)
        if fold.multiply and (reason := "words are skipped" if fold.skip else _not_multiplied(layer, fold)):
            raise PlanError(f"{layer.name}: fold multiply=true does not fit, {reason}; leave multiply out")
        if fold.packed and (reason := _array(layer, replace(fold, packed=False)).not_packed):
            raise PlanError(f"{layer.name}: fold packed=true does not fit, {reason}; leave packed out")
        if fold.skip and self.chunk(layer, fold.inputs) == 1:
            remedy, channels, node = "leave skip out", layer.channels[1], layer.nodes[0]
            if isinstance(node, Conv2d) and node.pad is not None:
                reason = "the cells around its map are not zero (pad), and a word that is no zero is not skipped"
            elif layer.groups > 1:
                reason = "a grouped convolution walks a part of a pixel only"
            else:
                reason = f"inputs={fold.inputs} does not cut the {channels} channels of a pixel into an even number of "
                reason += "words"
                if choices := [n for n in divisors(channels) if channels // n % 2 == 0]:
                    remedy = f"choose inputs from {numbers(choices)}, or {remedy}"
            raise PlanError(f"{layer.name}: fold skip=true does not fit, {reason}; {remedy}")

    def chunk(self, layer: StageNodes, inputs: int) -> int:
        """As many as divide the words of a pixel; none where the cells around the map are not zero."""
        channels, node = layer.channels[1], layer.nodes[0]
        whole = layer.groups > 1 or inputs > channels or (isinstance(node, Conv2d) and node.pad is not None)
        return 1 if whole else chunk_for(-(-channels // inputs))

    def walk(self, layer: StageNodes, fold: Fold) -> int:
        """Positions, groups of outputs, words and scans."""
        node = layer.nodes[0]
        if layer.groups > 1 or fold.skip:
            return 0
        rows, row = node.windows.places(layer.source.shape[1:]) if isinstance(node, Conv2d) else (1, 1)
        groups, scans = -(-layer.channels[0] // fold.outputs), layer.time_fold // fold.steps
        return rows * -(-row // fold.pixels) * groups * walk_words(layer, fold) * scans

    def multiplies(self, layer: StageNodes, fold: Fold) -> bool:
        """Where inputs have several bits and no sign, and weights change."""
        return not fold.skip and not _not_multiplied(layer, fold)

    def outline(self, layer: StageNodes, fold: Fold) -> tuple[WindowGeometry, SynapseSpec]:
        """The window, every word of which is handed out, and the array."""
        synapse = _array(layer, fold)
        return _walked(layer, fold, synapse), synapse

    def lower(self, layer: StageNodes, fold: Fold) -> tuple[WindowGeometry, list[CoreSpec]]:
        """The window of the kernel; the array; the cores behind it."""
        synapse, started = _array(layer, fold), None
        # A bias behind the sum is the accumulator's start value where every channel has an accumulator of its own.
        end = next((node for node in layer.nodes if type(node) in tails()), None)
        wanted = tail_of(end).start(end) if end is not None else None
        if wanted is not None and synapse.groups == 1 and synapse.words > 1:
            synapse, started = replace(synapse, start=wanted), end
        behind, synapse = _inverting(layer, synapse, end)
        chain = Chain(behind, synapse, started)
        # Where words are skipped, shared units must not be what keeps a stage from running twice as fast.
        chain.share(synapse.words // (2 if fold.skip else 1))
        for skip in layer.shortcuts:
            add_shortcut(chain, skip)
        for node in behind.nodes:
            if type(node) in tails():
                tail_of(node).lower(chain, node)
        window = _walked(layer, fold, synapse)
        if fold.skip:
            return replace(window, chunk=self.chunk(layer, fold.inputs), span=_span(chain.cores)), chain.cores
        _check_turnaround(layer, fold, synapse, chain.cores)
        return window, chain.cores


def _array(layer: StageNodes, fold: Fold) -> SynapseSpec:
    """The array of the weights, its accumulators beginning at zero."""
    node, columns = layer.nodes[0], fold.inputs in column_inputs(layer)
    assert isinstance(node, Conv2d | Linear)
    form = layer.words_in(layer.channels[1] if columns else fold.inputs)
    blocks = groups.blocks(layer, fold)
    idle = idle_lanes(layer, fold.inputs)
    rows, figures = layer.weights(columns, -(-len(node.weight) // fold.outputs) * fold.outputs, idle)
    weight = rows.reshape(len(rows), -1, fold.inputs // blocks)
    return SynapseSpec(
        weight=weight,
        weight_bits=node.weight_bits,
        i_format=replace(form, lanes=fold.inputs * fold.pixels),
        outputs=fold.outputs,
        steps=fold.steps if layer.time_fold > 1 else form.steps,
        sum_time=layer.adds_up,
        start=np.zeros(len(weight), np.int64),
        blocks=blocks,
        addressed=fold.skip,
        logic=fold.logic,
        pixels=fold.pixels,
        multiplies=fold.multiply,
        packs=fold.packed,
        figures=figures,
    )


def _walked(layer: StageNodes, fold: Fold, synapse: SynapseSpec) -> WindowGeometry:
    """The window of the kernel, walked as often as ``synapse`` needs it."""
    walks = synapse.groups * synapse.blocks // layer.groups
    whole = _geometry(layer, fold, fold.inputs in column_inputs(layer))
    return replace(whole, groups=walks, scans=synapse.scans, idle=len(synapse.weight) - layer.channels[0])


def _inverting(layer: StageNodes, synapse: SynapseSpec, end: Node | None) -> tuple[StageNodes, SynapseSpec]:
    """Bipolar weights that invert their inputs, where what that makes the currents larger by can go elsewhere: into the
    accumulators' start where every channel has its own, else into ``end``, behind them. Returns the nodes, with another
    end, and the array; both as they are where it cannot."""
    if not synapse.bipolar or synapse.addressed:
        return layer, synapse
    if synapse.groups == 1:
        return layer, replace(synapse, inverts=True)
    moved = None if end is None else tail_of(end).moved(layer, end, synapse.excess[: layer.channels[0]])
    if moved is None:
        return layer, synapse
    nodes = tuple(moved if node is end else node for node in layer.nodes)
    return replace(layer, nodes=nodes), replace(synapse, inverts=True, start=synapse.excess)


def _geometry(layer: StageNodes, fold: Fold, columns: bool) -> WindowGeometry:
    """The window of the kernel, walked once."""
    node, form = layer.nodes[0], layer.words_in(layer.channels[1] if columns else fold.inputs)
    idle = idle_lanes(layer, fold.inputs)
    if isinstance(node, Linear):
        return WindowGeometry(i_format=form, channels=node.weight.shape[1] + idle, height=1, width=1)
    assert isinstance(node, Conv2d)
    channels, height, width = layer.source.shape
    whole = WindowGeometry(
        i_format=form,
        channels=channels + idle,
        height=height,
        width=width,
        kernel=node.windows.kernel,
        stride=node.windows.stride,
        padding=node.windows.padding,
        pad=() if node.pad is None else (*[0] * idle, *node.pad.tolist()),
        dilation=node.windows.dilation,
        columns=columns,
        pixels=fold.pixels,
    )
    if not layer.shortcuts:  # a stage whose shortcut comes late keeps rows for as long
        whole = shortened(whole)
    if layer.groups == 1:
        return whole
    return replace(whole, order="channels", part=max(1, node.weight.shape[1] // fold.inputs))


def _not_multiplied(layer: StageNodes, fold: Fold) -> str:
    """Why multipliers cannot make the products of ``fold``; empty where they can."""
    if layer.groups > 1:
        return "a grouped convolution has no multipliers"
    return _array(layer, replace(fold, multiply=False, packed=False)).not_multiplied


def _span(cores: list[CoreSpec]) -> int:
    """Cycles by which the ends of scans must lie apart for what comes behind the array."""
    return max(max(core.ratio, core.turnaround) for core in cores)


def _check_turnaround(layer: StageNodes, fold: Fold, synapse: SynapseSpec, cores: list[CoreSpec]) -> None:
    needed = max(core.turnaround for core in cores)
    if needed > synapse.words:
        raise PlanError(
            f"{layer.name}: fold steps={fold.steps} scans the window of {synapse.words} words again while the "
            f"membrane is still being computed ({needed} cycles); choose fewer inputs or more steps"
        )
