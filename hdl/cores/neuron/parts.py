"""The parts of a neuron array: the registers of every step, the tests, the tables of what they compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...cost.parts import Parts, bits_of, index_bits
from ..synapse.parts import chained

if TYPE_CHECKING:
    from .spec import NeuronSpec

__all__ = ["neuron_parts"]


def neuron_parts(core: NeuronSpec) -> Parts:
    """The parts of ``core``: the registers of every step as ``hdl.cores.neuron.core`` lays them out."""
    parts = Parts()
    parts.counter(core.groups)
    if core.lossless:
        parts.registers(core.o_format.width + 1)
        if core.counts:  # a bit out of every 2^b-th spike
            spikes = core.time_steps >> np.arange(core.o_format.bits)
            parts.logic["bit of count"] += core.outputs * int((-(-(spikes - 1) // 3)).sum())
        _tests(core, parts, core.tests, np.full((core.time_steps, core.outputs), core.i_format.bits))
        return parts
    parts.counter(core.scans)
    stages, scans, outputs, time_steps = core.stages, core.scans, core.outputs, core.time_steps
    before, after = (
        bits_of(
            np.minimum(bounds[..., 0], 0).reshape(scans, stages, core.groups, outputs).min((0, 2)),
            np.maximum(bounds[..., 1], 0).reshape(scans, stages, core.groups, outputs).max((0, 2)),
        )
        for bounds in core.membranes
    )  # (stages, outputs)
    form, spike = core.i_format, 1 if core.counts else core.o_format.bits
    signed = core.rule == "signed"
    travel = (1 if scans == 1 else 2) + index_bits(scans)
    index = index_bits(core.groups)
    for t in range(stages):
        carried = t < stages - 1 or scans > 1
        parts.registers(before[t].sum())
        if t or scans > 1:
            parts.adders(before[t], "neuron adder")
        rest = (1 if core.constant else stages - 1 - t) if t < stages - 1 else 0
        parts.registers(2 * outputs * rest * form.bits)
        if core.counter:
            _running_count(core, parts, t)
        else:
            parts.registers(outputs * (2 * t + 1) * spike)
        parts.registers(2 * travel + (2 * index if t < stages - 1 else 0))
        if carried:
            parts.registers(after[t].sum())
            _chosen(core, parts, np.broadcast_to(core.threshold, (1, *core.threshold.shape)), 2 if signed else 1)
            if signed:
                parts.adders(after[t], "neuron adder")
                parts.logic["undo"] += int(after[t].sum())
            else:
                chained(parts, after[t][:, None], 1)
        if signed and (t or scans > 1):
            count = time_steps.bit_length()
            parts.logic["spike count"] += outputs * count
            parts.registers(outputs * count * (2 if carried else 1))
    for levels_of in (core.tests, core.dips) if signed else (core.tests,):
        parts.adders(before, "test")
        _chosen(core, parts, levels_of)
    if core.counts and not core.counter:  # counted in front of the last register
        parts.registers(core.o_format.width - outputs * time_steps)
        parts.logic["bit of count"] += core.o_format.width
    if scans > 1 and not core.counts:
        parts.registers(outputs * (time_steps - stages) * spike)
    return parts


def _running_count(core: NeuronSpec, parts: Parts, t: int) -> None:
    """The count of a causal neuron's spikes before step ``t`` of the pipeline and behind it."""
    most = core.o_format.bits
    before, after = (most, most) if core.scans > 1 else (t.bit_length(), (t + 1).bit_length())
    parts.registers(core.outputs * (before + after))
    if t == core.stages - 1 and core.scans > 1:
        parts.registers(core.outputs * most)
    parts.logic["spike counter"] += core.outputs * after if before else 0


def _chosen(core: NeuronSpec, parts: Parts, values: np.ndarray, times: int = 1) -> None:
    """Registered tables of ``values`` (T or 1, Co), out of which groups and scans choose, where they are not alike."""
    stages = 1 if len(values) == 1 else core.stages
    grouped = values.reshape(-1, stages, core.groups, core.outputs)  # scans stages groups outputs
    low, high = grouped.min((0, 2)), grouped.max((0, 2))
    bits = bits_of(np.minimum(low, 0), np.maximum(high, 0))
    entries = core.scans << index_bits(core.groups) if len(grouped) > 1 else core.groups
    parts.table(entries, times * int(bits[low != high].sum()))
    parts.registers(times * int(bits[low != high].sum()))


def _tests(core: NeuronSpec, parts: Parts, tests: np.ndarray, bits: np.ndarray) -> None:
    """Comparisons of ``bits`` (T, outputs) with ``tests`` of rule ``lossless``, which groups choose."""
    parts.adders(bits, "test" if core.groups == 1 else "chosen test")
    grouped = tests.reshape(len(tests), core.groups, core.outputs)
    parts.table(core.groups, int(bits[grouped.min(1) != grouped.max(1)].sum()))
