"""The circuit of a rule whose steps follow each other: two registers a time step.

In front of the first one the current is added to the membrane, a = u + I, and the levels of the tests come out of their
tables; in front of the second one the neuron spikes and what it spiked is taken off. Where a neuron's current comes in
several words, u waits for the next of them in the last register. Spikes travel along, or their number where that is
what leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from amaranth import *

from ...streams.words import shape_for
from .builder import Builder, Travel

if TYPE_CHECKING:
    from .stepwise import Stepwise

__all__ = ["Charge", "Fired", "pipeline"]


@dataclass(frozen=True, eq=False)
class Neuron:
    """A neuron between two steps.

    Attributes: ``lane``; ``currents`` of the steps to come; ``u``, its membrane; ``count`` of its spikes, where the
    rule keeps it; ``spikes`` of the steps before; ``waits``, the registers of u and count for its next current word.
    """

    lane: int
    currents: list[Value]
    u: Value
    count: Value
    spikes: list[Value]
    waits: tuple[Signal, Signal]


@dataclass(frozen=True, eq=False)
class Charge:
    """A neuron in the middle of step ``t`` of the pipeline: its membrane ``a`` with the current, the ``levels`` that
    the rule asked for; ``shape``, that of u after the step."""

    neuron: Neuron
    t: int
    a: Signal
    levels: list[Value]
    shape: Shape

    @property
    def place(self) -> str:
        """The end of the names of its signals."""
        return f"{self.neuron.lane}_{self.t}"

    def reaches(self, build: Builder, test: Value) -> Signal:
        """Whether the membrane reaches ``test``: the sign of a difference, a carry chain from which nothing but its
        last sum is taken."""
        fire = Signal(name=f"fire_{self.place}")
        build.m.d.comb += fire.eq(~(self.a - test)[-1])
        return fire


@dataclass(frozen=True, eq=False)
class Fired:
    """What a rule makes of a charge: the ``spike`` as it leaves, the membrane ``u`` and the ``count`` after it."""

    spike: Value
    u: Value
    count: Value


def pipeline(build: Builder, rule: Stepwise, travel: Travel, currents: list[list[Value]]) -> None:
    """Add the steps of ``rule`` for the neurons whose ``currents`` come with ``travel``, and collect their spikes."""
    neurons = [_neuron(build, rule, k, mine) for k, mine in enumerate(currents)]
    travel = travel.cut(travel.bits)
    for t in range(build.spec.stages):
        charged = build.travelled(travel, f"travel_{t}_a")
        charges = [_charge(build, rule, neuron, t, travel) for neuron in neurons]
        neurons = [_fire(build, rule, charge, charged) for charge in charges]
        travel = build.travelled(charged, f"travel_{t}_b")
    _collect(build, [neuron.spikes for neuron in neurons], travel)


def _shape(build: Builder, bounds: np.ndarray, stage: int, lane: int) -> Shape:
    """That of a membrane in ``bounds`` (T, Co, 2)."""
    mine = bounds[stage :: build.spec.stages, lane :: build.spec.outputs]
    return shape_for(min(0, int(mine[..., 0].min())), max(0, int(mine[..., 1].max())))


def _neuron(build: Builder, rule: Stepwise, lane: int, currents: list[Value]) -> Neuron:
    """The neuron of ``lane`` before its first step, or where that of its last word left it."""
    spec = build.spec
    u = Signal(_shape(build, rule.membranes[1], spec.stages - 1, lane), name=f"u_carried_{lane}")
    count = Signal(range(spec.time_steps + 1), name=f"n_carried_{lane}")
    if spec.scans > 1:
        return Neuron(lane, currents, u, count, [], (u, count))
    return Neuron(lane, currents, Const(0), Const(0, 0), [], (u, count))


def _charge(build: Builder, rule: Stepwise, neuron: Neuron, t: int, travel: Travel) -> Charge:
    """The first register of step ``t``."""
    spec, lane, currents = build.spec, neuron.lane, neuron.currents
    levels = rule.levels(build, t, lane, travel)
    a = Signal(_shape(build, rule.membranes[0], t, lane), name=f"a_{lane}_{t}")
    build.into(a, neuron.u + currents[0])
    left = currents if spec.constant and len(currents) == 1 else currents[1:]
    currents = [build.later(c, f"i_{lane}_{t}_a{n}") for n, c in enumerate(left)]
    spikes: list[Value] = [build.later(s, f"s_{lane}_{t}_a{n}") for n, s in enumerate(neuron.spikes)]
    count = neuron.count
    if rule.counting and t + spec.scans > 1:
        count = build.later(count, f"n_{lane}_{t}_a")
    waiting = replace(neuron, currents=currents, count=count, spikes=spikes)
    return Charge(waiting, t, a, levels, _shape(build, rule.membranes[1], t, lane))


def _fire(build: Builder, rule: Stepwise, charge: Charge, travel: Travel) -> Neuron:
    """The second register of a step, behind its test."""
    spec, neuron, t, place = build.spec, charge.neuron, charge.t, charge.place
    fired = rule.fire(build, charge)
    last = t == spec.stages - 1
    leaving = [*neuron.spikes, fired.spike]
    if rule.count_leaves:
        leaving = [fired.count] if last else []
    if spec.counts and last:
        leaving = [sum(leaving, Const(0))[: spec.o_format.bits]]
    u, count = neuron.u, neuron.count
    if not last:
        u = build.into(Signal(charge.shape, name=f"u_{place}"), fired.u)
        if rule.counting:
            least = rule.count_leaves and spec.scans == 1
            shape = unsigned((t + 1).bit_length()) if least else neuron.waits[1].shape()
            count = build.into(Signal(shape, name=f"n_{place}"), fired.count)
    elif spec.scans > 1:
        for register, value in zip(neuron.waits, (fired.u, fired.count) if rule.counting else (fired.u,), strict=False):
            with build.m.If(travel.valid):  # wait for the next word of the neuron,
                build.m.d.sync += register.eq(value)
            with build.m.If(travel.ends):  # or start the next neuron
                build.m.d.sync += register.eq(0)
    spikes: list[Value] = [build.later(s, f"s_{place}_b{n}") for n, s in enumerate(leaving)]
    currents: list[Value] = [build.later(c, f"i_{place}_b{n}") for n, c in enumerate(neuron.currents)]
    return replace(neuron, currents=currents, u=u, count=count, spikes=spikes)


def _collect(build: Builder, spikes: list[list[Value]], travel: Travel) -> None:
    """The words that leave. Where a neuron's spikes come in groups of steps, the earlier ones wait in a register and
    the last come straight from the pipeline."""
    m, spec, o = build.m, build.spec, build.o
    if spec.scans == 1 or spec.counts:
        m.d.comb += [o.valid.eq(travel.ends), o.payload.eq(Cat(s for lane in spikes for s in lane))]
        return
    words = []
    for k, lane in enumerate(spikes):
        bits = spec.o_format.bits
        earlier = Signal((spec.time_steps - spec.stages) * bits, name=f"earlier_{k}")
        word = Cat(earlier, lane)
        with m.If(travel.valid):
            m.d.sync += earlier.eq(word[spec.stages * bits :])
        words.append(word)
    m.d.comb += [o.valid.eq(travel.ends), o.payload.eq(Cat(words))]
