"""The sizes that a fold of weights may have: outputs and inputs that divide the channels or nearly do, pixels.

Of the last group of outputs some are then idle, and leave nowhere (``hdl.streams.blocks``); of the first word of a
pixel some lanes are, which hold 0 (``hdl.streams.gearbox``).
"""

from __future__ import annotations

from math import gcd

from ....quant.ir.ops import Conv2d, Linear, Readout
from ...errors import PlanError
from ...folding.fold import Fold
from ..fitting import divisors, numbers
from ..layers import StageNodes

__all__ = [
    "check_pixels",
    "column_inputs",
    "idle_lanes",
    "nearly",
    "pixels_tried",
    "undivided",
    "walk_words",
    "whole_reason",
]

IDLE = 0.15
"""Share of the channels that may be idle, of outputs and of inputs, in a fold that the search tries."""

MOST_PIXELS = 4
"""Pixels that the search computes together at most; a fold file may ask for more."""


def column_inputs(layer: StageNodes) -> list[int]:
    """``inputs`` beyond the channels: all channels of a whole kernel column at once."""
    node = layer.nodes[0]
    if not isinstance(node, Conv2d) or node.weight.shape[2] == 1 or layer.groups > 1:
        return []
    return [layer.channels[1] * node.weight.shape[2]]


def whole_reason(layer: StageNodes) -> str:
    """Why the outputs of a fold must divide the channels of ``layer``; empty where they need not."""
    if layer.groups > 1:
        return "those of a group are computed together"
    return "a read-out compares all of them" if layer.find(Readout) is not None else ""


def undivided(layer: StageNodes, fold: Fold) -> bool:
    """Whether the outputs of ``fold`` do not divide the channels, and there is hardware for that. Raises PlanError
    where it is asked for in a fold that has none."""
    channels = layer.channels[0]
    if not 1 < fold.outputs < channels or channels % fold.outputs == 0 or whole_reason(layer):
        return False
    reason, parts = "", fold.pixels * fold.outputs // gcd(fold.outputs, channels)
    if fold.skip:
        reason = "and then no word is skipped; leave skip out"
    elif parts > walk_words(layer, fold):
        reason = f"and then a walk of {walk_words(layer, fold)} words has no time for the {parts} parts of a result"
        reason += "; choose fewer inputs"
    elif fold.steps < layer.time_fold:
        reason = f"and then membranes cannot wait for the next scan, steps={fold.steps}; choose steps={layer.time_fold}"
    if reason:
        raise PlanError(
            f"{layer.name}: fold outputs={fold.outputs} does not divide {channels}, {reason}, or outputs from "
            f"{numbers(divisors(channels))}"
        )
    return True


def idle_lanes(layer: StageNodes, inputs: int) -> int:
    """Lanes of the first word of a pixel that are idle where words have ``inputs`` channels; none of a grouped
    convolution and of whole kernel columns."""
    return 0 if layer.groups > 1 or inputs > layer.channels[1] else -layer.channels[1] % inputs


def nearly(channels: int) -> list[int]:
    """Sizes that do not divide ``channels`` and leave few idle: the smallest for each number of groups."""
    fewest = {-(-channels // groups) for groups in range(2, channels)}
    return sorted(n for n in fewest if channels % n and -channels % n <= IDLE * channels)


def pixels_tried(layer: StageNodes, fold: Fold) -> list[int]:
    """Numbers of pixels above one for which ``fold`` has room, that the search tries: powers of two."""
    if layer.groups > 1 or fold.steps < layer.time_fold or layer.o_width < 2:
        return []
    most = min(MOST_PIXELS, layer.o_width, walk_words(layer, fold))
    return [n for n in (2, 4) if n <= most]


def walk_words(layer: StageNodes, fold: Fold) -> int:
    """Words of a walk of ``fold``."""
    node = layer.nodes[0]
    assert isinstance(node, Conv2d | Linear)
    taps = node.weight[0].size // layer.channels[1]
    return (node.weight[0].size + taps * idle_lanes(layer, fold.inputs)) // fold.inputs


def check_pixels(layer: StageNodes, fold: Fold) -> None:
    """Refuse several pixels at once where there is no hardware for them."""
    reason, remedy = "", "leave pixels out"
    if layer.groups > 1:
        reason = "a grouped convolution walks a part of a pixel only"
    elif fold.skip:
        reason = "words of several pixels are hardly ever all zero, so none is skipped"
        remedy += ", or skip"
    elif fold.steps < layer.time_fold:
        reason = f"the membranes of several pixels cannot wait for the next scan, steps={fold.steps}"
        remedy = f"choose steps={layer.time_fold}, or {remedy}"
    elif fold.pixels > layer.o_width:
        reason = f"a row of the result has {layer.o_width}"
        remedy = f"choose at most {layer.o_width}, or {remedy}" if layer.o_width > 1 else remedy
    elif fold.pixels > (words := walk_words(layer, fold)):
        walk, most = (f"{words} words", f"at most {words}, ") if words > 1 else ("one word", "")
        reason = f"a walk of {walk} has no time to hand out the results of so many"
        remedy = f"choose {most}fewer inputs, or {remedy}"
    if reason:
        raise PlanError(f"{layer.name}: fold pixels={fold.pixels} does not fit, {reason}; {remedy}")
