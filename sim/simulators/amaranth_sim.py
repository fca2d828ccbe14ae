"""Simulation of an Amaranth design in Amaranth's own simulator: for cores and small designs, always there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from amaranth.hdl import Cat, ClockDomain, ClockSignal, Const, Module, ResetSignal, Signal, Value
from amaranth.sim import Simulator

from ..environment import Environment, Recorder
from ..trace import Stimulus, Trace

__all__ = ["StreamDesign", "StreamLike", "run_amaranth", "run_stream"]


class StreamLike(Protocol):
    """Anything with the three signals of a stream; the payload is a value or a data view."""

    @property
    def valid(self) -> Any:
        """One bit: a word is offered."""
        ...

    @property
    def ready(self) -> Any:
        """One bit: a word is taken."""
        ...

    @property
    def payload(self) -> Any:
        """The word."""
        ...


class StreamDesign(Protocol):
    """An elaboratable with an input stream ``i`` and an output stream ``o``."""

    @property
    def i(self) -> StreamLike:
        """Input stream."""
        ...

    @property
    def o(self) -> StreamLike:
        """Output stream."""
        ...

    def elaborate(self, platform: Any) -> Any:
        """Return the circuit."""
        ...


def run_amaranth(
    design: StreamDesign,
    boundaries: Mapping[str, StreamLike],
    stimulus: Stimulus,
    outs: Sequence[StreamLike] | None = None,
    lasts: Mapping[str, tuple[Value, int]] | None = None,
) -> Trace:
    """Simulate a design and return all transfers on the given boundaries, in their order.

    ``outs``: its output streams, where ``o`` is not the only one, in the order of the sinks' pauses; ``lasts``: by
    boundary the signal that marks the last word of a frame, and the words in one.
    The design's ``sync`` domain gets its clock and reset here; the run takes exactly ``stimulus.cycles`` cycles.
    """
    m = Module()
    m.domains.sync = ClockDomain("sync")
    m.submodules.design = design
    clk, reset = Signal(), Signal()
    m.d.comb += [ClockSignal("sync").eq(clk), ResetSignal("sync").eq(reset)]
    payloads = [Value.cast(stream.payload) for stream in boundaries.values()]
    masks = [(1 << len(payload)) - 1 for payload in payloads]
    # One value for all handshakes, computed with the design; payloads are wide, and looked at while they are valid.
    marks = {name: mark for name, (mark, _) in (lasts or {}).items()}
    shakes = Signal(3 * len(boundaries) + 1)
    m.d.comb += shakes.eq(
        Cat(
            *(Cat(stream.valid, stream.ready, marks.get(name, Const(0))) for name, stream in boundaries.items()),
            design.i.ready,
        )
    )
    source = Value.cast(design.i.payload)
    readies = [out.ready for out in (outs if outs is not None else [design.o])]
    environment = Environment(stimulus, len(source), len(readies))
    recorder = Recorder(
        {name: len(payload) for name, payload in zip(boundaries, payloads, strict=True)},
        {name: words for name, (_, words) in (lasts or {}).items()},
    )
    # The simulator settles after every assignment, so there are two in a cycle: the falling edge with all that the
    # environment drives, and the rising edge.
    driven = Cat(clk, reset, design.i.valid, *readies, source)

    async def bench(ctx: Any) -> None:
        def clock() -> None:
            bits = [False, environment.reset, environment.valid, *environment.readies]
            ctx.set(driven, sum(bit << k for k, bit in enumerate(bits)) | environment.payload << len(bits))

        for _ in range(2):
            clock()
            ctx.set(clk, 1)
        for cycle in range(environment.cycles):
            environment.begin(cycle)
            clock()
            bits = ctx.get(shakes)
            if environment.reset:
                recorder.reset()
            else:
                for index, (payload, mask) in enumerate(zip(payloads, masks, strict=True)):
                    valid, ready, last = (bool(bits >> 3 * index + k & 1) for k in range(3))
                    recorder.sample(cycle, index, valid, ready, _reader(ctx, payload, mask), last)
            environment.end(bool(bits >> 3 * len(payloads)))
            ctx.set(clk, 1)

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    return recorder.trace()


def _reader(ctx: Any, payload: Value, mask: int) -> Callable[[], int]:
    return lambda: ctx.get(payload) & mask


def run_stream(
    core: StreamDesign,
    words: np.ndarray,
    cycles: int,
    *,
    source_pauses: np.ndarray | None = None,
    sink_pauses: np.ndarray | None = None,
    resets: tuple[tuple[int, int], ...] = (),
) -> Trace:
    """Simulate a core between a source and a sink; the trace has the boundaries ``i`` and ``o``."""
    none = np.zeros(0, bool)
    stimulus = Stimulus(
        words,
        cycles,
        none if source_pauses is None else source_pauses,
        none if sink_pauses is None else sink_pauses,
        resets,
    )
    return run_amaranth(core, {"i": core.i, "o": core.o}, stimulus)
