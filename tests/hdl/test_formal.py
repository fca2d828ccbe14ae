"""Proofs about every core: streams hold, no word is lost or comes twice, FIFOs neither over- nor underflow, and all of
it after a reset in any state (``docs/formal.md``)."""

from pathlib import Path

import pytest
from amaranth.hdl import Cat, Mux, Signal, Value
from prove import Bench, Proof, prove, waits_for_ready
from stream_benches import sink, source, taken_word, word_from

from spikeloom.hdl.flow import Fifo, Gearbox, GearboxSpec
from spikeloom.hdl.fork import Decimator, DecimatorSpec, Fork
from spikeloom.hdl.words import WordFormat

WIDTH = 6
"""Bits of the counters of words: more than the words of any proof."""


def proven(proof: Proof, *ready: str, folder: Path) -> None:
    assert proof, f"{', '.join(proof.broken)} ({proof.waves})\n{proof.table}"
    if ready:
        assert not waits_for_ready(folder, ready)


def fifo_bench(fifo: Fifo, width: int, depth: int, data: bool) -> Bench:
    """In order, each word once; the level is what went in and did not come out, at most ``depth``."""
    bench = Bench()
    bench.m.submodules.core = fifo
    taken_i, word = source(bench, fifo.i)
    taken_o, out = sink(bench, fifo.o)
    went, came = (Signal(WIDTH, name=name) for name in ("went", "came"))
    bench.m.d.sync += [went.eq(went + taken_i), came.eq(came + taken_o)]
    level = Signal(WIDTH, name="level")
    bench.m.d.comb += level.eq(went - came)
    bench.rule("never more than its depth", level <= depth)
    bench.rule("a word is offered where there is one", fifo.o.valid == (level != 0))
    bench.rule("a word is taken where there is room", fifo.i.ready == (level != depth))
    if depth > 1:
        at = (depth - 1).bit_length()
        inner, write_at, read_at = (
            bench.probe(n, f"core.{name}")
            for name, n in (("level", depth.bit_length()), ("write_at", at), ("read_at", at))
        )
        ahead = Signal(range(2 * depth), name="ahead")
        bench.m.d.comb += ahead.eq(read_at + level)
        bench.rule("level", inner == level)
        bench.rule("addresses", (write_at < depth) & (read_at < depth)
                   & (write_at == Mux(ahead >= depth, ahead - depth, ahead)))  # fmt: skip
    if data:
        at = bench.constant(WIDTH, "marked")
        bench.rule("the word in its place", ~fifo.o.valid | (came != at)
                   | (out == taken_word(bench, at, taken_i, went, word, "marked_word")))  # fmt: skip
    bench.goal("full, then empty", (came == depth) & (went == depth) if depth > 1 else came == 1)
    return bench


@pytest.mark.parametrize("target", ["fpga", "asic"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_fifo(depth: int, target, tmp_path: Path) -> None:
    bench = fifo_bench(Fifo(2, depth), 2, depth, data=False)
    proven(prove(bench, tmp_path, depth=2 * depth + 3, induction=True, target=target), "o", folder=tmp_path)
    bench = fifo_bench(Fifo(2, depth), 2, depth, data=True)
    proven(prove(bench, tmp_path, depth=3 * depth + 4, target=target), folder=tmp_path)


class Overflowing(Fifo):
    """A FIFO that forgets that it is full."""

    def elaborate(self, platform: object):
        m = super().elaborate(platform)
        m.d.comb += self.i.ready.eq(1)
        return m
