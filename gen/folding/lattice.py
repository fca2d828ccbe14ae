"""The search space of folds as a layered graph: a path through it is a design, and its cost that of the path.

Stages are taken in the order of the data. A node behind stage k says how wide the words are of every result that a
later stage still reads; an arc is a candidate of stage k + 1, and costs its area and that of everything between it and
what it reads: width conversions, forks and strided shortcuts. All costs couple a stage with those it reads from and
with nothing else, so paths and designs are the same thing. Chains have as many nodes a layer as a stage has word
widths, residual networks the products of two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import gcd

import numpy as np

from ...hdl.streams.decimator import DecimatorSpec
from ...hdl.streams.fork import ForkSpec
from ...hdl.streams.gearbox import GearboxSpec
from ...hdl.streams.words import WordFormat
from ...quant.ir.network import Network
from ..cost.model import Area, area, total
from ..lowering.streams import entry_lanes
from ..targets.fpga.devices import RESOURCES, resources
from .candidates import Candidate, CandidateTable

__all__ = ["Arcs", "lattice"]


@dataclass(frozen=True, eq=False)
class Arcs:
    """The arcs of a layer, arrays of n: ``start`` and ``end``, nodes before and behind; ``cost`` (n, 4); ``cycles``,
    that the stage and its width conversions need; ``choice``, index into ``candidates``, whose resources are ``areas``;
    ``nodes`` behind the layer."""

    start: np.ndarray
    end: np.ndarray
    cost: np.ndarray
    cycles: np.ndarray
    choice: np.ndarray
    candidates: list[Candidate]
    areas: np.ndarray
    nodes: int


@cache
def _between(
    form: WordFormat, lanes: int, shape: tuple[int, int, int], stride: int, channels: int
) -> tuple[tuple[float, ...], int]:
    """(resources, cycles a frame) of what makes words of ``lanes`` out of words of ``form`` of a frame of ``shape``;
    ``channels`` of a pixel, which ``lanes`` may not divide."""
    found: list[Area] = []
    c, h, w = shape
    if stride > 1:
        found.append(area(DecimatorSpec(form, c // form.lanes, h, w, stride)))
        h, w = -(-h // stride), -(-w // stride)
    common = gcd(form.lanes, lanes)
    for target in dict.fromkeys((common, lanes)):
        if target != form.lanes:
            gearbox = GearboxSpec(form, target, channels if target == lanes and channels % lanes else 0)
            found.append(area(gearbox))
            form = gearbox.o_format
    return tuple(resources(total(found)).tolist()), c * h * w // common


@cache
def _fork(form: WordFormat, readers: int) -> tuple[float, ...]:
    """Resources of what hands words of ``form`` to ``readers``."""
    return tuple(resources(area(ForkSpec(form, readers))).tolist()) if readers > 1 else (0.0,) * len(RESOURCES)


def lattice(network: Network, tables: Sequence[CandidateTable], occupancy: dict[str, list[float]]) -> list[Arcs]:
    """The layers of arcs, one a stage; ``occupancy``: pixels waiting in the FIFOs of the shortcuts, by stage."""
    layers = [table.layer for table in tables]
    reads = [[(layer.input, 1), *((skip.node, skip.stride) for skip in layer.shortcuts)] for layer in layers]
    last = {name: k for k, names in enumerate(reads) for name, _ in names}
    readers = {name: sum(name == other for names in reads for other, _ in names) for name in last}
    source = network.input
    start = WordFormat(1, 1, 0, source.high)
    nodes: dict[tuple[WordFormat, ...], int] = {(): 0}
    live: list[str] = []
    found = []
    for k, (layer, table) in enumerate(zip(layers, tables, strict=True)):
        candidates, areas = table.priced(occupancy.get(layer.name, ()))
        result = layer.nodes[-1].name
        before, names = live, [name for name, _ in reads[k]]
        live = [name for name in dict.fromkeys([*before, source.name, result]) if last.get(name, -1) > k]
        groups: dict[tuple[int, WordFormat], list[int]] = {}
        for j, candidate in enumerate(candidates):
            groups.setdefault((candidate.i_lanes, candidate.o_format), []).append(j)
        behind: dict[tuple[WordFormat, ...], int] = {}
        starts, ends, costs, cycles, choices = [], [], [], [], []
        for node, index in nodes.items():
            known = dict(zip(before, node, strict=True))
            for (i_lanes, o_format), members in groups.items():
                forms = known | {result: o_format}
                extra, needs = np.zeros(len(RESOURCES)), 0
                if source.name not in known and source.name in names:  # the first stage says how wide the input is
                    lanes = entry_lanes(network, layer, i_lanes)
                    forms[source.name] = WordFormat(lanes, start.steps, start.low, start.high)
                    extra = extra + _fork(forms[source.name], readers[source.name])
                if result in readers:
                    extra = extra + _fork(o_format, readers[result])
                for n, (name, stride) in enumerate(reads[k]):
                    lanes = i_lanes if n == 0 else o_format.lanes
                    shape = network.signals[name].shape
                    cost, words = _between(forms[name], lanes, shape, stride, layer.channels[1] if n == 0 else 0)
                    extra, needs = extra + cost, max(needs, words)
                end = behind.setdefault(tuple(forms[name] for name in live), len(behind))
                starts.append(np.full(len(members), index))
                ends.append(np.full(len(members), end))
                costs.append(areas[members] + extra)
                cycles.append([max(needs, candidates[j].cycles) for j in members])
                choices.append(members)
        start_of, end_of, cost_of, cycles_of, choice_of = map(np.concatenate, (starts, ends, costs, cycles, choices))
        found.append(Arcs(start_of, end_of, cost_of, cycles_of, choice_of, candidates, areas, len(behind)))
        nodes = behind
    return found
