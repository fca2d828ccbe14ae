"""A small pipeline with a handshake on every boundary, and a cycle-level model of it written independently.

Increment (one register, 40 -> 72 bits), a FIFO of two words, and a decimation that drops every other word and passes
20 bits of the rest through combinationally.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Cat, Elaboratable, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.sim.ports import BoundaryPort, DesignPorts
from spikeloom.sim.trace import Stimulus, Trace, Transfers

__all__ = ["PORTS", "Pipeline", "emit", "model", "random_stimulus"]

PORTS = DesignPorts.from_json(
    {
        "top": "pipe_top",
        "verilog": "pipe_top.v",
        "boundaries": [
            {"name": "i", "signal": "b0", "width": 40},
            {"name": "wide", "signal": "b1", "width": 72},
            {"name": "fifo", "signal": "b2", "width": 72},
            {"name": "o", "signal": "b3", "width": 20},
        ],
    }
)

WIDE = 0x5A5A_1234


class Wires:
    """The three named wires of a boundary."""

    def __init__(self, port: BoundaryPort) -> None:
        self.valid = Signal(name=f"{port.signal}_valid")
        self.ready = Signal(name=f"{port.signal}_ready")
        self.payload = Signal(port.width, name=f"{port.signal}_payload")


class Pipeline(wiring.Component):
    """Increment, FIFO and decimation in a row.

    Parameters:
        flaw: ``""``, or a broken stream rule to show: ``"valid"`` lets the increment's valid fall after a cycle of
            waiting, ``"payload"`` counts its payload up while it waits, ``"peek"`` adds the input payload of a cycle
            without valid to the next word.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, flaw: str = "") -> None:
        super().__init__({"i": In(stream.Signature(unsigned(40))), "o": Out(stream.Signature(unsigned(20)))})
        self.flaw = flaw
        self.boundaries = {port.name: Wires(port) for port in PORTS.boundaries}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        b0, b1, b2, b3 = self.boundaries.values()
        m.d.comb += [b0.valid.eq(self.i.valid), b0.payload.eq(self.i.payload), self.i.ready.eq(b0.ready)]
        m.d.comb += [self.o.valid.eq(b3.valid), self.o.payload.eq(b3.payload), b3.ready.eq(self.o.ready)]

        # Increment: a register that refills in the cycle in which it empties.
        valid, data, seen = Signal(), Signal(40), Signal()
        m.d.comb += [b0.ready.eq(~valid | b1.ready), b1.valid.eq(valid), b1.payload.eq(Cat(data, ~data[:32] ^ WIDE))]
        with m.If(b0.ready):
            m.d.sync += [valid.eq(b0.valid), data.eq(b0.payload + 1)]
            if self.flaw == "peek":
                m.d.sync += [seen.eq(~b0.valid & b0.payload[0]), data.eq(b0.payload + 1 + seen)]
        with m.Else():
            if self.flaw == "valid":
                m.d.sync += valid.eq(0)
            if self.flaw == "payload":
                m.d.sync += data.eq(data + 1)

        # FIFO: two words, the older one in ``head``.
        head, tail, level = Signal(72), Signal(72), Signal(2)
        push, pop = Signal(), Signal()
        m.d.comb += [b1.ready.eq(level != 2), b2.valid.eq(level != 0), b2.payload.eq(head)]
        m.d.comb += [push.eq(b1.valid & b1.ready), pop.eq(b2.valid & b2.ready)]
        m.d.sync += level.eq(level + push - pop)
        with m.If(pop):
            m.d.sync += head.eq(tail)
        with m.If(push):
            with m.If(level == pop):
                m.d.sync += head.eq(b1.payload)
            with m.Else():
                m.d.sync += tail.eq(b1.payload)

        # Decimation: words 1, 3, 5, ... go on.
        odd = Signal()
        m.d.comb += [b2.ready.eq(~odd | b3.ready), b3.valid.eq(b2.valid & odd)]
        m.d.comb += b3.payload.eq(Cat(b2.payload[:12], b2.payload[64:]))
        with m.If(pop):
            m.d.sync += odd.eq(~odd)
        return m


def emit(design: Elaboratable, folder: Path) -> Path:
    """Write the Verilog of a design, named as in :data:`PORTS`, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pipe.il").write_text(rtlil.convert(design, name=PORTS.top, emit_src=False))
    passes = ("read_rtlil pipe.il", "proc", f"write_verilog -noattr {PORTS.verilog}")
    script = "from pyosys import libyosys as ys; d = ys.Design(); [ys.run_pass(p, d) for p in " + repr(passes) + "]"
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True, capture_output=True)
    return folder / PORTS.verilog


@dataclass
class _State:
    offered: int | None = None
    register: int | None = None
    queue: list[int] = field(default_factory=list)
    dropped: bool = False


def model(stimulus: Stimulus) -> Trace:
    """Predict every transfer of the pipeline without flaws."""
    words = [int.from_bytes(row.tobytes(), "little") for row in stimulus.words.astype("<u4")]
    resets = dict(stimulus.resets)
    seen: dict[str, list[tuple[int, int]]] = {port.name: [] for port in PORTS.boundaries}
    state, following = _State(), 0
    for cycle in range(stimulus.cycles):
        if cycle in resets:
            state, following = _State(), resets[cycle]
            continue
        paused = cycle < len(stimulus.source_pauses) and stimulus.source_pauses[cycle]
        blocked = cycle < len(stimulus.sink_pauses) and stimulus.sink_pauses[cycle]
        if state.offered is None and following < len(words) and not paused:
            state.offered, following = words[following], following + 1
        room = len(state.queue) < 2
        takes = state.register is None or room
        if state.queue and not (state.dropped and blocked):
            word = state.queue.pop(0)
            seen["fifo"].append((cycle, word))
            if state.dropped:
                seen["o"].append((cycle, word & 0xFFF | (word >> 64) << 12))
            state.dropped = not state.dropped
        if state.register is not None and room:
            word = state.register | ((state.register ^ WIDE ^ 0xFFFF_FFFF) & 0xFFFF_FFFF) << 40
            seen["wide"].append((cycle, word))
            state.queue.append(word)
            state.register = None
        if takes and state.offered is not None:
            seen["i"].append((cycle, state.offered))
            state.register = (state.offered + 1) % (1 << 40)
            state.offered = None
    return Trace({port.name: _transfers(seen[port.name], port.limbs) for port in PORTS.boundaries})


def _transfers(seen: list[tuple[int, int]], limbs: int) -> Transfers:
    data = b"".join(word.to_bytes(4 * limbs, "little") for _, word in seen)
    return Transfers(
        np.array([cycle for cycle, _ in seen], np.int64), np.frombuffer(data, "<u4").reshape(-1, limbs).copy()
    )


def random_stimulus(seed: int, count: int, cycles: int, *, source: float, sink: float, resets: int = 0) -> Stimulus:
    """Draw words, pauses with the given probabilities, and resets, each of which goes back to some earlier word."""
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 1 << 32, (count, 2), dtype=np.uint64).astype(np.uint32)
    words[:, 1] &= 0xFF
    at = sorted(int(cycle) for cycle in rng.choice(cycles, resets, replace=False))
    return Stimulus(
        words,
        cycles,
        rng.random(cycles - 10) < source,
        rng.random(cycles - 10) < sink,
        tuple((cycle, int(rng.integers(0, count // 2))) for cycle in at),
    )
