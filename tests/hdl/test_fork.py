"""Fork and strided shortcut: words and cycles against the law, under pauses of every reader."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.hdl.streams.decimator import Decimator, DecimatorLaw, DecimatorSpec
from spikeloom.hdl.streams.fifo import Fifo, FifoSpec
from spikeloom.hdl.streams.fork import Fork, ForkLaw, ForkSpec
from spikeloom.hdl.streams.law import FifoLaw, Gate, Link, SinkLaw, SourceLaw, solve
from spikeloom.hdl.streams.words import WordFormat
from spikeloom.sim.disturb import random_pauses
from spikeloom.sim.simulators.amaranth_sim import run_amaranth, run_stream
from spikeloom.sim.trace import Stimulus

BYTE = WordFormat(1, 1, 0, 255)
SHARES = [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.4, 0.4)]


class Diamond(wiring.Component):
    """A fork whose second reader is a short FIFO that gives a word only together with one of the first."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(16))})
        self.fork, self.fifos = Fork(ForkSpec(BYTE, 2)), [Fifo(FifoSpec(8, 1)), Fifo(FifoSpec(8, 3))]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fork = self.fork
        m.submodules += self.fifos
        wiring.connect(m, wiring.flipped(self.i), self.fork.i)
        for out, fifo in zip(self.fork.outs, self.fifos, strict=True):
            wiring.connect(m, out, fifo.i)
        one, other = (fifo.o for fifo in self.fifos)
        m.d.comb += [
            self.o.valid.eq(one.valid & other.valid),
            self.o.payload.eq(one.payload + (other.payload << 8)),
            one.ready.eq(self.o.valid & self.o.ready),
            other.ready.eq(self.o.valid & self.o.ready),
        ]
        return m


class JoinLaw:
    """A word of either side leaves when both are there."""

    def __init__(self, ins: tuple[Link, Link], o: Link) -> None:
        self.ins, self.outs, self.o = ins, (o,), o

    def advance(self) -> None:
        for i in self.ins:
            while len(i.taken) < len(self.o.taken):
                i.take(self.o.taken[len(i.taken)])
        if len(self.o.offered) == len(self.o.taken) and all(i.pending() for i in self.ins):
            self.o.offered.append(max(i.shown() for i in self.ins))


@pytest.mark.parametrize("shares", SHARES)
def test_fork(shares: tuple[float, float]) -> None:
    rng = np.random.default_rng(1)
    source, sink = (random_pauses(rng, 300, share) for share in shares)
    words = rng.integers(0, 256, (80, 1)).astype(np.uint32)
    links = [Link(source=Gate(source)), Link(), Link(), Link(), Link(), Link(sink=Gate(sink))]
    i, a, b, c, d, o = links
    solve([SourceLaw(80, i), ForkLaw(i, (a, b)), FifoLaw(1, a, c), FifoLaw(3, b, d), JoinLaw((c, d), o), SinkLaw(o)])
    top = Diamond()
    streams = {"i": top.i, "a": top.fork.outs[0], "b": top.fork.outs[1], "o": top.o}
    trace = run_amaranth(top, streams, Stimulus(words, o.taken[-1] + 10, source, sink, ()))
    for name, link in zip(streams, (i, a, b, o), strict=True):
        assert trace.boundaries[name].cycles.tolist() == link.taken, name
    assert np.array_equal(trace.boundaries["o"].words, words * 257)
    assert not trace.violations
    if shares == (0.0, 0.5):  # the readers did take words at different times
        assert a.taken != b.taken


@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.parametrize(("height", "width", "stride"), [(4, 4, 2), (5, 3, 2), (7, 6, 3), (4, 8, 4), (1, 5, 2)])
def test_decimator(height: int, width: int, stride: int, shares: tuple[float, float]) -> None:
    rng = np.random.default_rng(height)
    spec = DecimatorSpec(WordFormat(2, 3, 0, 1), 2, height, width, stride)
    x = rng.integers(0, 2, (3, height, width, 2, 2, 3))
    words = spec.i_format.pack(x.reshape(-1, 2, 3))
    kept = x[:, ::stride, ::stride].reshape(-1, 2, 3)
    assert np.array_equal(spec.compute(x.reshape(-1, 2, 3))[0], kept)
    source, sink = (random_pauses(rng, 600, share) for share in shares)
    i, o = Link(source=Gate(source)), Link(sink=Gate(sink))
    solve([SourceLaw(len(words), i), DecimatorLaw(spec, i, o), SinkLaw(o)])
    trace = run_stream(Decimator(spec), words, i.taken[-1] + 10, source_pauses=source, sink_pauses=sink)
    assert trace.boundaries["i"].cycles.tolist() == i.taken
    assert trace.boundaries["o"].cycles.tolist() == o.taken
    assert np.array_equal(trace.boundaries["o"].words, spec.i_format.pack(kept))
    assert not trace.violations


def test_errors_name_the_rule() -> None:
    with pytest.raises(ValueError, match="A fork has at least two branches, not 1"):
        ForkSpec(BYTE, 1)
