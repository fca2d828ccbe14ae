"""Area of a stage before synthesis: adder bits and gates, counted as LUT4 with two for each CCU2C (ECP5)."""

from __future__ import annotations

from ..hdl.adders import levels
from ..hdl.initial import InitialSpec
from ..hdl.neuron_spec import NeuronSpec
from ..hdl.pool import PoolSpec
from ..hdl.readout import ReadoutSpec
from ..hdl.requant import RequantSpec
from ..hdl.rom import rom_style
from ..hdl.serial import SerialiserSpec
from ..hdl.stage import StageSpec
from ..hdl.synapse import TABLE, SynapseSpec

__all__ = ["estimate"]


def estimate(stage: StageSpec) -> int:
    """LUT4-equivalents of ``stage``. An adder of n bits counts n + 1, a gate or a multiplexer 1 a bit."""
    total = 60.0 + 1.5 * len(bin(stage.cycles)) + (4 + 2 * stage.fifo_words.bit_length() if stage.fifo_words > 1 else 0)
    if stage.window.columns:  # the multiplexers that line the rows up, and their masks
        total += stage.window.o_format.width * (0.5 * stage.window.rows + 1)
    if stage.window.chunk:  # the test for zero, flags, counters of rows, and the chunk that is handed out
        total += 90 + stage.window.i_format.width / 3 + 2 * stage.window.chunk
        synapse = stage.cores[0]
        if isinstance(synapse, SynapseSpec) and synapse.inputs > 1:  # an inverter of each sum's highest bit
            total += synapse.outputs * synapse.terms * synapse.plane_count
    for core in stage.cores:
        match core:
            case SynapseSpec():
                total += _synapse(core)
            case SerialiserSpec():
                total += 0.5 * core.i_format.width + core.parts.bit_length() * 2
            case InitialSpec():
                total += _initial(core)
            case NeuronSpec():
                bits = core.i_format.bits + 1
                adders = {"lossless": 1, "causal": 3, "signed": 5}[core.rule]
                gates = bits if core.groups > 1 and core.rule != "lossless" else 0
                total += core.outputs * core.stages * (adders * (bits + 1) + gates)
            case RequantSpec():
                bits = core.i_format.bits
                total += core.outputs * ((bits + 1 if core.bias.any() else 0) + bits // 2 + 2 * core.o_format.bits)
            case PoolSpec():
                bits = core.o_format.bits + (2 if core.kind == "max_spikes" else 0)
                total += core.i_format.lanes * core.i_format.steps * (bits + 1) * (1 if core.kind == "sum" else 2)
            case ReadoutSpec():
                bits = core.o_format.bits
                total += core.outputs * (2 * bits + 2)
    return round(total)


def _initial(core: InitialSpec) -> float:
    """An adder and its gate for each lane, the shifted additions of a constant current, the memory and its counter."""
    bits, lanes, depth = core.o_format.bits, core.i_format.lanes, len(core.rows)
    products = 1.7 * (core.times.bit_count() - 1) * (bits + 1)
    width = sum(int(column.max()).bit_length() for column in core.rows.T)
    memory = 0.0
    if depth > 1:
        memory = 2 + depth.bit_length()
        if rom_style(depth, width) == "logic":
            memory += width * max(1, depth / 16)
    return lanes * (bits + 1 + products) + (width if core.scans > 1 else 0) + memory


def _synapse(core: SynapseSpec) -> float:
    """Trees over the inputs, whose first additions gate the weights, the trees over the bits of an input, the
    accumulators. Constant weights: tables of a LUT4 a bit in place of the first additions."""
    lanes, width, adders = core.inputs, core.weight_bits, 0.0
    if core.constant:
        width += 2
        lanes = -(-lanes // TABLE)
        adders += lanes * width
    while lanes > 1:
        adders += (lanes // 2) * (width + 1)
        lanes -= lanes // 2
        width += 1
    planes, joins = core.plane_count, 0.0
    for level in range(levels(core.plane_count)):
        joins += (planes // 2) * (width + 2 + (1 << level))
        width += 1 << level
        planes -= planes // 2
    accumulator = core.o_format.bits + 1
    return core.outputs * core.terms * (core.plane_count * adders + joins + accumulator)
