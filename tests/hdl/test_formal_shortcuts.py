"""Proofs about serialisers, initial membranes and merges of shortcuts (``docs/formal.md``)."""

from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, Mux, Signal, Value, signed
from prove import Bench, prove, proven
from stream_benches import per_group, pipe_bench, source, taken_word, word_from

from spikeloom.hdl.cores.initial.core import InitialMembranes
from spikeloom.hdl.cores.initial.spec import InitialSpec
from spikeloom.hdl.cores.merge.core import Merge
from spikeloom.hdl.cores.merge.spec import MergeSpec
from spikeloom.hdl.cores.serialiser.core import Serialiser
from spikeloom.hdl.cores.serialiser.spec import SerialiserSpec
from spikeloom.hdl.streams.words import WordFormat
from spikeloom.hdl.verilog.library import Target


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_serialiser(parts: int, tmp_path: Path) -> None:
    """Every part once; a word stays until its last part is out."""
    spec = SerialiserSpec(WordFormat(parts, 1, 0, 3), 1)
    bench = Bench()
    m = bench.m
    m.submodules.core = core = Serialiser(spec)
    valid, word = bench.free(1, "i_valid"), bench.free(2 * parts, "i_payload")
    m.d.comb += [core.i.valid.eq(valid), core.i.payload.eq(word)]
    part = Signal(range(parts + 1), name="part")
    busy = Signal(name="busy")
    m.d.comb += busy.eq(valid | (part != 0))
    with m.If(busy):
        m.d.sync += part.eq(Mux(part == parts - 1, 0, part + 1))
    bench.assume((part == 0) | (~valid & (word == bench.past(word, "word"))))
    expected = word_from(m, [word[2 * k : 2 * k + 2] for k in range(parts)], part, "expected")
    bench.rule("parts in their cycles", core.o.valid == bench.past(busy, "busy"))
    bench.rule("the part", ~core.o.valid | (core.o.payload == bench.past(expected, "part_word")))
    bench.goal("a word", core.o.valid & (part == 0))
    proven(prove(bench, tmp_path, depth=3 * parts + 6, induction=parts == 1), folder=tmp_path)


@pytest.mark.parametrize("target", ["fpga", "asic"])
def test_initial_membranes(target: Target, tmp_path: Path) -> None:
    offset = np.array([[1], [3], [0]])
    spec = InitialSpec(offset=offset, i_format=WordFormat(1, 1, -4, 3), ranges=np.array([[-4, 3]]), scans=2)

    def reference(bench: Bench, word: Value, valid: Value) -> tuple[Value, Value]:
        place = per_group(bench, 6, valid)
        since = bench.count(Const(1), 2, "since_reset")
        bench.assume(~valid | (since >= 2))
        added = word_from(
            bench.m, [Const(int(offset[k // 2, 0]) if k % 2 == 0 else 0, 3) for k in range(6)], place, "added"
        )
        total = Signal(signed(6), name="total")
        bench.m.d.comb += total.eq(word.as_signed() + added)
        return valid, total[: spec.o_format.bits]

    bench = pipe_bench(InitialMembranes(spec), spec.i_format, spec.latency, reference)
    proven(prove(bench, tmp_path, depth=14, target=target), folder=tmp_path)


@pytest.mark.parametrize("target", ["fpga", "asic"])
@pytest.mark.parametrize("parts", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_merge(parts: int, target: Target, tmp_path: Path) -> None:
    """Word k of the shortcut goes to current k; none is fetched that is not there, none is lost."""
    form, skip_form, depth = WordFormat(1, 1, -4, 3), WordFormat(1, 1, 0, 1), 3
    gain = np.array([2, -1])
    spec = MergeSpec(gain=gain, first=0, channels=2, shortcut_format=skip_form, i_format=form, scans=1,
                     result_words=parts, ranges=np.array([[-4, 3]] * 2), depth=depth)  # fmt: skip
    bench = Bench()
    m = bench.m
    m.submodules.core = core = Merge(spec)
    taken, skip = source(bench, core.skip, "skip")
    valid, word = bench.free(1, "i_valid"), bench.free(3, "i_payload")
    scanned = bench.free(1, "scanned")
    m.d.comb += [core.i.valid.eq(valid), core.i.payload.eq(word), core.scanned.eq(scanned)]
    # The window ends a scan only where the merge does not hold it; its results come later, ``parts`` words each.
    bench.assume(~scanned | ~core.hold)
    due, went, fetched = Signal(5, name="due"), Signal(5, name="went"), Signal(5, name="fetched")
    bench.assume(~valid | (due != 0))
    m.d.sync += [due.eq(due + Mux(scanned, parts, 0) - valid), went.eq(went + taken), fetched.eq(fetched + valid)]
    bench.assume((due < 8) & (went < 16))
    level = Signal(5, name="level")
    m.d.comb += level.eq(went - fetched)
    bench.rule("no underflow", ~valid | (level != 0))
    bench.rule("no overflow", level <= depth)
    bench.rule("a word is taken where there is room", core.skip.ready == (level != depth))
    bench.rule("promised words are there", level >= due)
    marked = bench.constant(5, "marked")
    kept = taken_word(bench, marked, taken, went, skip, "marked_word")
    total = Signal(signed(6), name="total")
    m.d.comb += total.eq(word.as_signed() + Mux(kept, Mux(fetched[0], int(gain[1]), int(gain[0])), 0))
    expected: Value = Cat(valid, fetched == marked, total)
    for k in range(spec.latency):
        expected = bench.past(expected, f"expected_{k}")
    bench.rule("a sum in its cycle", core.o.valid == expected[0])
    bench.rule(
        "the marked sum", ~expected[1] | ~core.o.valid | (core.o.payload == expected[2 : 2 + spec.o_format.bits])
    )
    bench.goal("a sum after a full FIFO", core.o.valid & (went == depth))
    proven(prove(bench, tmp_path, depth=spec.latency + 9, target=target), folder=tmp_path)
