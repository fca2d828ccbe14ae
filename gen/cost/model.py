"""Area of a design before synthesis: LUTs, flip-flops, LUT RAM and block RAM on ECP5, stage by stage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from ...hdl.cores.initial.spec import InitialSpec
from ...hdl.cores.merge.spec import MergeSpec
from ...hdl.cores.neuron.spec import NeuronSpec
from ...hdl.cores.pool.spec import PoolSpec
from ...hdl.cores.readout.spec import ReadoutSpec
from ...hdl.cores.requant.spec import RequantSpec
from ...hdl.cores.serialiser.spec import SerialiserSpec
from ...hdl.cores.synapse.spec import SynapseSpec
from ...hdl.streams.decimator import DecimatorSpec
from ...hdl.streams.fork import ForkSpec
from ...hdl.streams.gearbox import GearboxSpec
from ...hdl.streams.stage import StageSpec
from .coefficients import LUTS
from .cores import initial_parts, neuron_parts, pool_parts, readout_parts, requant_parts, serialiser_parts
from .parts import Parts
from .streams import decimator_parts, fifo_parts, fork_parts, gearbox_parts, merge_parts, window_parts
from .synapse import synapse_parts

__all__ = ["Area", "all_parts", "area", "element_parts", "estimate", "part_area", "total"]

_NAMES = {
    SynapseSpec: "synapsearray",
    SerialiserSpec: "serialiser",
    MergeSpec: "merge",
    InitialSpec: "initialmembranes",
    NeuronSpec: "neuronarray",
    RequantSpec: "requantiser",
    PoolSpec: "poolarray",
    ReadoutSpec: "readout",
}


class Area(NamedTuple):
    """``lut4_eq``, LUT4 with two for each CCU2C, LUT RAM not included; ``ff``; ``lut_ram``, TRELLIS_DPR16X4; ``ebr``,
    DP16KD."""

    lut4_eq: float
    ff: int
    lut_ram: int
    ebr: int


def total(areas: Iterable[Area]) -> Area:
    """The sum of ``areas``."""
    return Area(*(sum(column) for column in zip(Area(0, 0, 0, 0), *areas, strict=True)))


def _area(parts: Parts) -> Area:
    luts = sum(LUTS.get(kind, 1.0) * count for kind, count in parts.logic.items())
    return Area(luts, parts.ff, parts.lut_ram, parts.ebr)


def core_parts(core: object, parts: Parts) -> None:
    """Add the parts of a core of a stage."""
    match core:
        case SynapseSpec():
            synapse_parts(core, parts)
        case SerialiserSpec():
            serialiser_parts(core, parts)
        case MergeSpec():
            merge_parts(core, parts)
        case InitialSpec():
            initial_parts(core, parts)
        case NeuronSpec():
            neuron_parts(core, parts)
        case RequantSpec():
            requant_parts(core, parts)
        case PoolSpec():
            pool_parts(core, parts)
        case ReadoutSpec():
            readout_parts(core, parts)
        case _:
            raise TypeError(f"Not a core of a stage: {core!r}")


def element_parts(spec: StageSpec | GearboxSpec | DecimatorSpec | ForkSpec) -> dict[str, Parts]:
    """The parts of an element of a design, by the name of the core in it; "" for what belongs to none."""
    own = Parts()
    found = {"": own}
    match spec:
        case StageSpec():
            window_parts(spec.window, found.setdefault("window", Parts()))
            for core in spec.cores:
                name = _NAMES[type(core)]
                name += str(sum(key.startswith(name) for key in found)) if isinstance(core, MergeSpec) else ""
                core_parts(core, found.setdefault(name, Parts()))
            fifo_parts(spec.o_width, spec.fifo_words, found.setdefault("fifo", Parts()))
            own.counter(spec.result_words)
            own.logic["stage"] += 1
        case GearboxSpec():
            gearbox_parts(spec, own)
        case DecimatorSpec():
            decimator_parts(spec, own)
        case ForkSpec():
            fork_parts(spec, own)
    return found


def all_parts(spec: StageSpec | GearboxSpec | DecimatorSpec | ForkSpec) -> Parts:
    """The parts of an element, joined with the others: without what nothing reads."""
    whole = Parts()
    for parts in element_parts(spec).values():
        whole.add(parts)
    if isinstance(spec, StageSpec):
        whole.add(_unread(spec))
    return whole


def area(spec: StageSpec | GearboxSpec | DecimatorSpec | ForkSpec) -> Area:
    """The area of an element of a design: a stage with the FIFOs of its shortcuts, a width conversion, a strided
    shortcut, a fork."""
    return _area(all_parts(spec))


def _unread(stage: StageSpec) -> Parts:
    """What goes away in a stage because a quantiser without a subtraction shifts the low bits of the currents out:
    their registers, and the multiplexer in front of it. A negative count."""
    parts = Parts()
    *before, core = [core for core in stage.cores if not isinstance(core, ReadoutSpec)]
    if not isinstance(core, RequantSpec) or core.bias.any() or stage.merges:
        return parts
    bits = int(np.clip(core.shift.reshape(-1, core.outputs).min(0), 0, core.i_format.bits - 1).sum())
    parts.registers(-bits * stage.result_words)
    if any(isinstance(other, SerialiserSpec) for other in before):
        parts.registers(-bits)
        parts.mux(stage.result_words, -bits)
    return parts


def part_area(core: object) -> Area:
    """The area of one core of a stage."""
    parts = Parts()
    core_parts(core, parts)
    return _area(parts)


def estimate(stage: StageSpec) -> int:
    """LUT4-equivalents of ``stage``."""
    return round(area(stage).lut4_eq)
