"""The quantiser with a threshold for every step: which of its three circuits a stage gets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ....hdl.cores.serialiser.spec import SerialiserSpec
from ....hdl.cores.staircase.search import SearchSpec
from ....hdl.cores.staircase.serial import SerialSpec
from ....hdl.cores.staircase.spec import StaircaseSpec
from ....hdl.cores.staircase.stairs import Stairs
from ....hdl.streams.words import WordFormat
from ....quant.ir.ops import MapReadout, Readout
from ....quant.ir.ops.staircase import Staircase
from ...cost.model import area
from ..chain import Chain, shared_lanes
from ..fitting import divisors
from ..layers import StageNodes
from ..registry import Tail, tail

__all__ = ["COMPARED", "StaircaseTail"]

COMPARED = 15
"""Up to so many thresholds there is a comparator for each of them; more are searched."""

BLOCK = 400
"""LUTs that a block RAM counts as: those for each of them on an ECP5-85."""


@tail(Staircase)
class StaircaseTail(Tail):
    """Its comparisons or its search; a read-out may follow."""

    then = (Readout, MapReadout)

    def moved(self, layer: StageNodes, node: Staircase, excess: np.ndarray) -> Staircase:
        """All thresholds move."""
        return replace(node, threshold=node.threshold + excess[:, None])

    def whole(self, chain: Chain, node: Staircase, cycles: int) -> bool:
        """Where one comparator a lane has time for all channels, and is smaller than a pipeline that channels share."""
        spec = serial(chain, node, cycles)
        if spec is None:
            return False
        lanes = shared_lanes(chain.synapse, cycles)
        form = chain.form
        shared = WordFormat(lanes, 1, form.low, form.high)
        pipeline = size(SearchSpec(**parameters(node, chain, shared)))
        if lanes < form.lanes:
            pipeline += size(SerialiserSpec(form, lanes))
        return size(spec) < pipeline

    def lower(self, chain: Chain, node: Staircase) -> None:
        """The staircase."""
        levels = node.levels[chain.order]
        ends = np.stack([levels.min(1), levels.max(1)], 1)
        chain.append(circuit(chain, node), ends)


def circuit(chain: Chain, node: Staircase) -> Stairs:
    """The circuit of ``node`` behind what ``chain`` has so far."""
    given = parameters(node, chain, chain.form)
    if node.threshold.shape[1] <= COMPARED:
        return StaircaseSpec(**given)
    pipeline = SearchSpec(**given)
    if chain.form.lanes < chain.synapse.results or (one := serial(chain, node, chain.cycles)) is None:
        return pipeline
    return min(pipeline, one, key=size)


def serial(chain: Chain, node: Staircase, cycles: int) -> SerialSpec | None:
    """The search with as few comparators as have time for all channels within ``cycles``, None where none has.

    Parts of a word need words that stay, as those of the array do; those of a shortcut's sum do not.
    """
    if node.threshold.shape[1] <= COMPARED:
        return None
    outputs = chain.form.lanes
    for lanes in divisors(outputs) if not chain.layer.shortcuts else [outputs]:
        try:
            spec = SerialSpec(**parameters(node, chain, chain.form), lanes=lanes)
        except ValueError:  # too many parts
            continue
        if spec.turnaround <= cycles:
            return spec
    return None


def parameters(node: Staircase, chain: Chain, form: WordFormat) -> dict[str, Any]:
    """What all circuits of ``node`` are given, behind words of ``form``."""
    values = None if node.values is None else node.levels[chain.order]
    threshold = node.threshold[chain.order]
    return {"threshold": threshold, "low": node.low, "values": values, "i_format": form, "ranges": chain.ranges}


def size(spec: Stairs | SerialiserSpec) -> float:
    """LUTs of a circuit, block RAMs as what a device has of them."""
    found = area(spec)
    return found.lut4_eq + BLOCK * found.ebr
