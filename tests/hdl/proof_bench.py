"""The bench of a proof: a core, assumptions on its inputs and rules on its outputs."""

from __future__ import annotations

import re
from typing import Any

from amaranth.hdl import Assert, Assume, Cat, ClockDomain, Elaboratable, Instance, Module, Signal, Value

__all__ = ["Bench", "wire_name"]


class Bench(Elaboratable):
    """A core, assumptions on its inputs and rules on its outputs.

    Free signals are inputs of the bench. Rules hold in every cycle from the second on, the reset being over. State of
    the bench lives in ``m.d.sync`` like that of the core, so both are reset together.

    Attributes: ``m``, the module; ``rules`` by name, 1-bit signals; ``goals`` by name, what must be possible within
    the depth, so that a proof is not empty; ``probes``, signals that show a wire inside the core by its flat name.
    """

    def __init__(self) -> None:
        self.m = Module()
        self.rules: dict[str, Signal] = {}
        self.goals: dict[str, Signal] = {}
        self.probes: dict[str, str] = {}
        self.ports: list[Signal] = []
        self.running = Signal()

    def free(self, width: int, name: str) -> Signal:
        """A signal that may have any value in any cycle."""
        self.ports.append(Signal(width, name=name))
        return self.ports[-1]

    def constant(self, width: int, name: str) -> Signal:
        """A signal that may have any value, the same in every cycle."""
        value = Signal(width, name=name)
        self.m.submodules += Instance("$anyconst", p_WIDTH=width, o_Y=value)
        return value

    def probe(self, width: int, wire: str) -> Signal:
        """What wire ``core.level`` and the like, with the names of submodules before it, shows."""
        name = "probe_" + re.sub(r"\W+", "_", wire)
        self.ports.append(Signal(width, name=name))
        self.probes[name] = wire
        return self.ports[-1]

    def assume(self, condition: Value) -> None:
        """Only runs in which ``condition`` holds in every cycle without reset."""
        self.m.d.comb += Assume(condition | ~self.running, None)

    def rule(self, name: str, condition: Value) -> None:
        """``condition`` holds in every cycle."""
        self.rules[name] = Signal(name=wire_name("rule", name), attrs={"keep": 1})
        self.m.d.comb += self.rules[name].eq(condition | ~self.running)

    def goal(self, name: str, condition: Value) -> None:
        """``condition`` is possible."""
        self.goals[name] = Signal(name=wire_name("goal", name), attrs={"keep": 1})
        self.m.d.comb += self.goals[name].eq(condition & self.running)

    def past(self, value: Value, name: str) -> Signal:
        """``value`` one cycle ago; 0 in the first cycle after reset."""
        later = Signal(Value.cast(value).shape(), name=f"past_{name}")
        self.m.d.sync += later.eq(value)
        return later

    def count(self, step: Value, width: int, name: str) -> Signal:
        """How many cycles ``step`` was high before this one; it stays at its highest value."""
        total = Signal(width, name=name)
        with self.m.If(step & ~total.all()):
            self.m.d.sync += total.eq(total + 1)
        return total

    def elaborate(self, platform: object) -> Module:
        m = self.m
        sync: Any = ClockDomain("sync")
        start: Any = ClockDomain("start", reset_less=True)
        m.domains += [sync, start]
        clk = self.ports[0]
        m.d.comb += [sync.clk.eq(clk), start.clk.eq(clk), sync.rst.eq(~self.running)]
        m.d.start += self.running.eq(1)
        m.d.comb += Assert(Cat(self.rules.values()).all(), None)
        return m


def wire_name(kind: str, name: str) -> str:
    """The wire of the rule or goal (``kind``) called ``name``."""
    return f"{kind}_" + re.sub(r"\W", "_", name)
