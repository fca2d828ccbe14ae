"""The parts of what stands behind a synapse array: neurons, quantisers, pools, read-outs."""

from __future__ import annotations

import numpy as np

from ...hdl.cores.initial.spec import InitialSpec
from ...hdl.cores.neuron.spec import NeuronSpec
from ...hdl.cores.pool.spec import PoolSpec
from ...hdl.cores.readout.spec import ReadoutSpec
from ...hdl.cores.requant.spec import RequantSpec
from ...hdl.cores.serialiser.spec import SerialiserSpec
from ...hdl.cores.synapse.trees import levels
from ...hdl.memory.style import rom_style
from .parts import Parts, bits_of, index_bits
from .synapse import chained

__all__ = ["initial_parts", "neuron_parts", "pool_parts", "readout_parts", "requant_parts", "serialiser_parts"]


def serialiser_parts(core: SerialiserSpec, parts: Parts) -> None:
    """Add the parts of ``core``: one multiplexer."""
    parts.registers(core.o_format.width + 2)
    parts.counter(core.ratio)
    parts.mux(core.ratio, core.o_format.width)


def neuron_parts(core: NeuronSpec, parts: Parts) -> None:
    """Add the parts of ``core``: the register of every step as ``hdl.cores.neuron.core`` lays them out."""
    parts.counter(core.groups)
    if core.lossless:
        parts.registers(core.o_format.width + 1)
        if core.counts:  # a bit out of every 2^b-th spike
            spikes = core.time_steps >> np.arange(core.o_format.bits)
            parts.logic["bit of count"] += core.outputs * int((-(-(spikes - 1) // 3)).sum())
        _tests(core, parts, core.tests, np.full((core.time_steps, core.outputs), core.i_format.bits))
        return
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


def initial_parts(core: InitialSpec, parts: Parts) -> None:
    """Add the parts of ``core``: the memory of offsets and its register, shifted additions, the sums."""
    parts.counter(core.scans)
    rows, lanes = core.rows, core.i_format.lanes
    width = int(bits_of(np.zeros(lanes, np.int64), rows.max(0)).sum())
    parts.registers(core.o_format.width + 1)
    if len(rows) > 1:
        style = rom_style(len(rows), width)
        parts.memory(len(rows), width, "block" if style == "block" else "logic", written=False)
        parts.registers(width + 2)
        parts.counter(len(rows))
    out = np.full(lanes, core.o_format.bits)
    parts.adders(out, "initial adder", core.times.bit_count())
    parts.logic["initial gate"] += width if core.scans > 1 else 0


def requant_parts(core: RequantSpec, parts: Parts) -> None:
    """Add the parts of ``core``: subtraction, shift, two comparisons and the choice of the result."""
    parts.counter(core.groups)
    parts.registers(core.o_format.width + 1)
    grouped = core.differences.reshape(core.groups, core.outputs, 2)
    low, high = grouped[..., 0].min(0), grouped[..., 1].max(0)
    bits = bits_of(low, high)
    if core.bias.any():
        dropped = np.clip(core.shift.reshape(core.groups, core.outputs).min(0), 0, bits - 1)  # bits that nothing reads
        parts.registers((bits - dropped).sum() + 1 + index_bits(core.groups))
        parts.adders(bits, "quantiser adder")
        parts.table(core.groups, int(bits.sum()))
    shifts = core.shift.reshape(core.groups, core.outputs)
    least = shifts.min(0)
    low, high = (
        np.where(least >= 0, low >> np.maximum(least, 0), low << np.maximum(-least, 0)),
        np.where(least >= 0, high >> np.maximum(least, 0), high << np.maximum(-least, 0)),
    )
    shifted = bits_of(low, high)
    for lane in range(core.outputs):
        ways = len(np.unique(shifts[:, lane]))
        parts.mux(ways, int(shifted[lane]))
    parts.adders(shifted[(high > core.hi)], "clamp test")
    if core.lo:
        parts.adders(shifted[(low < core.lo)], "clamp test")
    parts.logic["clamp"] += int(((low < core.lo) | (high > core.hi)).sum()) * core.o_format.bits


def pool_parts(core: PoolSpec, parts: Parts) -> None:
    """Add the parts of ``core``: accumulators and results, and for the count gate the counts."""
    form, out = core.i_format, core.o_format
    elements = form.lanes * form.steps
    parts.registers(1)
    if core.kind != "max_spikes":
        parts.registers(2 * elements * out.bits)
        if core.kind == "sum":
            parts.adders(np.full(elements, out.bits), "pool adder")
        else:
            parts.adders(np.full(elements, out.bits), "pool test")
            parts.logic["maximum"] += elements * out.bits
        return
    parts.registers(3 + elements)
    for t in range(form.steps):
        bits = (t + 1).bit_length()
        parts.registers(3 * form.lanes * bits)
        parts.logic["running count"] += form.lanes * bits * (1 << max(0, t - 3))
        parts.adders(np.full(2 * form.lanes, bits), "pool test")
        parts.logic["maximum"] += form.lanes * bits


def readout_parts(core: ReadoutSpec, parts: Parts) -> None:
    """Add the parts of ``core``: biases, the tournament, the best class so far."""
    outputs, form = core.outputs, core.o_format
    group, lane = index_bits(core.groups), max(1, index_bits(outputs))
    best = max(1, index_bits(len(core.bias)))
    parts.counter(core.groups)
    width = form.bits
    if core.bias.any():
        parts.registers(outputs * width + 1 + group)
        parts.adders(np.full(outputs, width), "read-out adder")
        parts.table(core.groups, outputs * width)
    field = outputs
    for _ in range(levels(outputs)):
        parts.adders(np.full(field // 2, width), "read-out test")
        parts.logic["winner"] += (field // 2) * (width + lane)
        field -= field // 2
        parts.registers(field * (width + lane) + outputs * width + 1 + group)
    parts.registers(width + best + 1 + outputs * width)
    parts.adders(np.array([width]), "read-out test")
    parts.logic["class"] += best
