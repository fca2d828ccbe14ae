"""The circuit of a rule whose steps follow each other: two registers a time step.

In front of the first one the current is taken off what a neuron is short of its threshold, d = w - I, whose sign is
the spike; in front of the second one w = d + what the step moves it by, which the spike chooses. So no cycle has two
carry chains in a row. Where a neuron's current comes in several words, w waits for the next of them in the last
register. Spikes travel along, or their number where that is what leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from amaranth import *

from ...memory.columns import Columns
from ...streams.words import shape_for
from .builder import Builder, Travel
from .either import either

if TYPE_CHECKING:
    from .stepwise import Stepwise

__all__ = ["Charge", "Fired", "pipeline"]


@dataclass(frozen=True, eq=False)
class Neuron:
    """A neuron between two steps.

    Attributes: ``lane``; ``currents`` of the steps to come; ``w``, what it is short of its threshold; ``count`` of its
    spikes, where the rule keeps it; ``spikes`` of the steps before; ``waits``, the registers of w and count for its
    next current word.
    """

    lane: int
    currents: list[Value]
    w: Value
    count: Value
    spikes: list[Value]
    waits: tuple[Signal, Signal]


@dataclass(frozen=True, eq=False)
class Charge:
    """A neuron in the middle of step ``t`` of the pipeline: ``d``, what it is short of its threshold with the current;
    ``constants`` of the groups of neurons; ``shape``, that of w after the step."""

    neuron: Neuron
    t: int
    d: Signal
    constants: Columns
    shape: Shape
    outputs: int

    @property
    def place(self) -> str:
        """The end of the names of its signals."""
        return f"{self.neuron.lane}_{self.t}"

    @property
    def fire(self) -> Value:
        """Whether the neuron spikes: the sign."""
        return self.d[-1] if self.d.shape().signed else Const(0, 1)

    def constant(self, values: np.ndarray, name: str) -> Value:
        """The one of ``values`` (Co,) for this neuron."""
        return self.constants.value(values[self.neuron.lane :: self.outputs].tolist(), f"{name}_{self.place}")


@dataclass(frozen=True, eq=False)
class Fired:
    """What a rule makes of a charge: the ``spike`` as it leaves, ``w`` and the ``count`` after it."""

    spike: Value
    w: Value
    count: Value


def pipeline(build: Builder, rule: Stepwise, travel: Travel, currents: list[list[Value]]) -> None:
    """Add the steps of ``rule`` for the neurons whose ``currents`` come with ``travel``, and collect their spikes."""
    neurons = [_neuron(build, rule, k, mine) for k, mine in enumerate(currents)]
    less = _first(build, rule, neurons, travel)
    constants, passing = Columns(build.m, travel.group), Cat(travel.valid, travel.ends)
    for t in range(build.spec.stages):
        charges = [_charge(build, rule, *mine, t, constants) for mine in zip(neurons, less, strict=True)]
        passing = build.later(passing, f"travel_{t}_a")
        neurons = [_fire(build, rule, charge, passing) for charge in charges]
        passing = build.later(passing, f"travel_{t}_b")
        less = [neuron.w - neuron.currents[0] for neuron in neurons if neuron.currents]
        constants = constants.later().later()
    _collect(build, [neuron.spikes for neuron in neurons], passing)


def _shape(build: Builder, bounds: np.ndarray, stage: int, lane: int) -> Shape:
    """That of a membrane in ``bounds`` (T, Co, 2)."""
    mine = bounds[stage :: build.spec.stages, lane :: build.spec.outputs]
    return shape_for(min(0, int(mine[..., 0].min())), max(0, int(mine[..., 1].max())))


def _neuron(build: Builder, rule: Stepwise, lane: int, currents: list[Value]) -> Neuron:
    """The neuron of ``lane`` where its last word left it."""
    spec = build.spec
    w = Signal(_shape(build, rule.membranes[1], spec.stages - 1, lane), name=f"w_carried_{lane}")
    count = Signal(range(spec.time_steps + 1), name=f"n_carried_{lane}")
    return Neuron(lane, currents, w, count if spec.scans > 1 else Const(0, 0), [], (w, count))


def _first(build: Builder, rule: Stepwise, neurons: list[Neuron], travel: Travel) -> list[Value]:
    """d of the first step of every word: with the first one of a neuron it starts anew."""
    spec, constant, less = build.spec, build.constants(travel), list[Value]()
    for neuron in neurons:
        lane, current = neuron.lane, neuron.currents[0]
        start = constant(rule.starts[lane :: spec.outputs].tolist(), f"start_{lane}")
        shape = _shape(build, rule.membranes[0], 0, lane)
        less.append(
            start - current
            if spec.scans == 1
            else either(build.m, build.platform, current, travel.first, (neuron.w, start), shape, f"first_{lane}",
                        minus=True)
        )  # fmt: skip
    return less


def _charge(build: Builder, rule: Stepwise, neuron: Neuron, less: Value, t: int, constants: Columns) -> Charge:
    """The first register of step ``t``, which takes ``less``."""
    spec, lane, currents = build.spec, neuron.lane, neuron.currents
    d = build.into(Signal(_shape(build, rule.membranes[0], t, lane), name=f"d_{lane}_{t}"), less)
    left = currents if spec.constant and len(currents) == 1 else currents[1:]
    currents = [build.later(c, f"i_{lane}_{t}_a{n}") for n, c in enumerate(left)]
    spikes: list[Value] = [build.later(s, f"s_{lane}_{t}_a{n}") for n, s in enumerate(neuron.spikes)]
    count = neuron.count
    if rule.counting and t + spec.scans > 1:
        count = build.later(count, f"n_{lane}_{t}_a")
    waiting = replace(neuron, currents=currents, count=count, spikes=spikes)
    return Charge(waiting, t, d, constants, _shape(build, rule.membranes[1], t, lane), spec.outputs)


def _fire(build: Builder, rule: Stepwise, charge: Charge, passing: Value) -> Neuron:
    """The second register of a step, behind its spike."""
    spec, neuron, t, place = build.spec, charge.neuron, charge.t, charge.place
    last = t == spec.stages - 1
    fired = rule.fire(build, charge, moves=not last or spec.scans > 1)
    leaving = [*neuron.spikes, fired.spike]
    if rule.count_leaves:
        leaving = [fired.count] if last else []
    if spec.counts and last:
        leaving = [sum(leaving, Const(0))[: spec.o_format.bits]]
    w, count = neuron.w, neuron.count
    if not last:
        w = build.into(Signal(charge.shape, name=f"w_{place}"), fired.w)
        if rule.counting:
            least = rule.count_leaves and spec.scans == 1
            shape = unsigned((t + 1).bit_length()) if least else neuron.waits[1].shape()
            count = build.into(Signal(shape, name=f"n_{place}"), fired.count)
    elif spec.scans > 1:
        with build.m.If(passing[0]):  # wait for the next word of the neuron
            build.m.d.sync += neuron.waits[0].eq(fired.w)
            if rule.counting:
                build.m.d.sync += neuron.waits[1].eq(fired.count)
        if rule.counting:
            with build.m.If(passing[1]):  # or start the next neuron
                build.m.d.sync += neuron.waits[1].eq(0)
    spikes: list[Value] = [build.later(s, f"s_{place}_b{n}") for n, s in enumerate(leaving)]
    currents: list[Value] = [build.later(c, f"i_{place}_b{n}") for n, c in enumerate(neuron.currents)]
    return replace(neuron, currents=currents, w=w, count=count, spikes=spikes)


def _collect(build: Builder, spikes: list[list[Value]], passing: Value) -> None:
    """The words that leave. Where a neuron's spikes come in groups of steps, the earlier ones wait in a register and
    the last come straight from the pipeline."""
    m, spec, o = build.m, build.spec, build.o
    m.d.comb += o.valid.eq(passing[1])
    if spec.scans == 1 or spec.counts:
        m.d.comb += o.payload.eq(Cat(s for lane in spikes for s in lane))
        return
    words = []
    for k, lane in enumerate(spikes):
        bits = spec.o_format.bits
        earlier = Signal((spec.time_steps - spec.stages) * bits, name=f"earlier_{k}")
        word = Cat(earlier, lane)
        with m.If(passing[0]):
            m.d.sync += earlier.eq(word[spec.stages * bits :])
        words.append(word)
    m.d.comb += o.payload.eq(Cat(words))
