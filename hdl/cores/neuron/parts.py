"""The parts of a neuron array: the registers of every step, the tests, the tables of what they compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...cost.parts import Parts, bits_of, index_bits

if TYPE_CHECKING:
    from .spec import NeuronSpec
    from .stepwise import Stepwise

__all__ = ["chosen", "pipeline_parts"]


def pipeline_parts(rule: Stepwise) -> Parts:
    """The parts of the neurons of ``rule``: the registers of every step as ``hdl.cores.neuron.pipeline`` lays them
    out."""
    parts, core = Parts(), rule.spec
    parts.counter(core.groups)
    parts.counter(core.scans)
    stages, scans, outputs = core.stages, core.scans, core.outputs
    before, after = (
        bits_of(
            np.minimum(bounds[..., 0], 0).reshape(scans, stages, core.groups, outputs).min((0, 2)),
            np.maximum(bounds[..., 1], 0).reshape(scans, stages, core.groups, outputs).max((0, 2)),
        )
        for bounds in rule.membranes
    )  # (stages, outputs)
    travel = (1 if scans == 1 else 2) + index_bits(scans)
    index = index_bits(core.groups)
    for t in range(stages):
        parts.registers(before[t].sum())
        if t or scans > 1:
            parts.adders(before[t], "neuron adder")
        rest = (1 if core.constant else stages - 1 - t) if t < stages - 1 else 0
        parts.registers(2 * outputs * rest * core.i_format.bits)
        rule.spike_parts(parts, t)
        parts.registers(2 * travel + (2 * index if t < stages - 1 else 0))
        if t < stages - 1 or scans > 1:
            parts.registers(after[t].sum())
        rule.step_parts(parts, t, after[t])
    for levels in rule.tested:
        parts.adders(before, "test")
        chosen(core, parts, levels)
    if core.counts and not rule.count_leaves:  # counted in front of the last register
        parts.registers(core.o_format.width - outputs * core.time_steps)
        parts.logic["bit of count"] += core.o_format.width
    if scans > 1 and not core.counts:
        parts.registers(outputs * (core.time_steps - stages) * core.o_format.bits)
    return parts


def chosen(core: NeuronSpec, parts: Parts, values: np.ndarray, times: int = 1) -> None:
    """Registered tables of ``values`` (T or 1, Co), out of which groups and scans choose, where they are not alike."""
    stages = 1 if len(values) == 1 else core.stages
    grouped = values.reshape(-1, stages, core.groups, core.outputs)  # scans stages groups outputs
    low, high = grouped.min((0, 2)), grouped.max((0, 2))
    bits = bits_of(np.minimum(low, 0), np.maximum(high, 0))
    entries = core.scans << index_bits(core.groups) if len(grouped) > 1 else core.groups
    parts.table(entries, times * int(bits[low != high].sum()))
    parts.registers(times * int(bits[low != high].sum()))
