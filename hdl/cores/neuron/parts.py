"""The parts of a neuron array: the registers of every step, its additions, the constants that groups choose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...cost.parts import Parts, bits_of
from ...memory.columns import count_columns

if TYPE_CHECKING:
    from .spec import NeuronSpec
    from .stepwise import Stepwise

__all__ = ["pipeline_parts"]


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
    parts.adders(before, "chain")
    _constants(rule, parts)
    for t in range(stages):
        last, moves = t == stages - 1, t < stages - 1 or scans > 1
        rest = 0 if last else 1 if core.constant else stages - 1 - t
        parts.registers(2 * outputs * rest * core.i_format.bits)
        parts.registers(2 if scans == 1 else 4 - (last and core.counts))  # counts leave where the neuron ends
        rule.spike_parts(parts, t)
        signs = (rule.membranes[0][t, :, 0] < 0).reshape(core.groups, outputs).any(0)
        compared = rule.compared and core.time_steps > 1
        parts.registers(before[t].sum() if moves or compared else signs.sum())  # of the last d the sign is read
        if moves:
            parts.registers(after[t].sum())
        rule.step_parts(parts, t, after[t], moves=moves)
    if core.counts and not rule.count_leaves:  # counted in front of the last register
        parts.registers(core.o_format.width - outputs * core.time_steps)
        parts.logic["bit of count"] += core.o_format.width
    if scans > 1 and not core.counts:
        parts.registers(outputs * (core.time_steps - stages) * core.o_format.bits)
    return parts


def _constants(rule: Stepwise, parts: Parts) -> None:
    """Where a neuron starts, looked up at once or ahead; what it moves by and is compared with, which travels along."""
    core = rule.spec
    starts = _columns(core, [rule.starts])
    parts.table(core.groups, starts)
    if rule.ahead:
        parts.registers(starts)
    alone = core.scans == 1
    for t in range(core.stages):
        needed = rule.moves if not alone or t < core.stages - 1 else []
        needed = [*needed, *(rule.compared if core.time_steps > 1 else [])]
        columns = _columns(core, needed)
        parts.registers(columns * (2 if t else 1))
        if not t:
            parts.table(core.groups, columns)


def _columns(core: NeuronSpec, several: list[np.ndarray]) -> int:
    """Bits of ``several`` constants (Co,) that groups choose, equal ones once."""
    lanes = [values[lane :: core.outputs].tolist() for values in several for lane in range(core.outputs)]
    return count_columns(lanes)
