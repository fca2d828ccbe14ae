"""The figures of one design: cycles by the cycle law, area by the cost model, work and memory traffic, by stage."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..gen.cost.model import area
from ..gen.design import Design
from ..gen.emit.writer import performance
from ..gen.lowering.layers import StageNodes
from ..gen.targets.fpga.devices import RESOURCES, resources
from ..hdl.cores.synapse.spec import SynapseSpec
from ..hdl.streams.stage import StageSpec
from ..quant.ir.ops import Conv2d, Synapse

__all__ = ["measured", "operations"]


def operations(layer: StageNodes) -> int:
    """Synaptic operations of a frame: all weights of all results in all time steps, zeros and padding included; once
    where the current does not change over time. 0 for a pool."""
    node = layer.nodes[0]
    if not isinstance(node, Synapse):
        return 0
    steps = layer.steps if layer.source.timed else 1
    if not isinstance(node, Conv2d):
        return node.weight.size * steps
    rows, columns = node.windows.places(layer.source.shape[1:])
    return node.weight.size * rows * columns * steps


def measured(design: Design, frames: np.ndarray | None = None) -> dict[str, Any]:
    """``interval`` and ``latency`` in cycles (means of ``frames`` where stages skip words), ``luts``, ``ff`` and
    ``ebr``, and the same for every stage with its ``cycles``, ``utilisation``, ``operations`` and ``weight_bits``, read
    a frame; ``array_luts``, those of all synapse arrays."""
    timing = performance(design, frames if design.sparse else None)
    whole = np.zeros(len(RESOURCES))
    for element in design.elements:
        whole += resources(area(element.spec))
    arrays, stages = 0.0, []
    for layer, stage in zip(design.layers, design.stages, strict=True):
        luts, ff, ebr, _ = resources(area(stage)).tolist()
        busy = timing["stages"][stage.name]
        synapse = stage.cores[0]
        if isinstance(synapse, SynapseSpec):
            arrays += area(synapse).lut4_eq
        stages.append({
            "name": stage.name, "fold": str(design.folds[stage.name]), "cycles": busy["cycles"],
            "utilisation": busy["utilisation"], "luts": round(luts, 1), "ff": ff, "ebr": ebr,
            "operations": operations(layer), "weight_bits": _weight_bits(stage, busy["cycles"]),
        })  # fmt: skip
    interval = timing["interval"]
    work, read = sum(s["operations"] for s in stages), sum(s["weight_bits"] for s in stages)
    return {
        "cycles": max(stage["cycles"] for stage in stages),
        "interval": interval,
        "latency": timing["latency"],
        "luts": round(float(whole[0]), 1),
        "ff": float(whole[1]),
        "ebr": int(whole[2]),
        "array_luts": round(arrays, 1),
        "operations_per_cycle": round(work / interval, 4),
        "operations_per_weight_bit": round(work / read, 4) if read else None,
        "bottleneck": timing["bottleneck"]["stage"],
        "stages": stages,
    }


def _weight_bits(stage: StageSpec, cycles: int) -> int:
    """Bits of weights read in a frame: a word a cycle, where there is more than one word."""
    core = stage.cores[0]
    if not isinstance(core, SynapseSpec) or core.constant:
        return 0
    return cycles * core.outputs * core.inputs * core.weight_bits
