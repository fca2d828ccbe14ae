"""Proof about weight memories in fewer block RAMs (``docs/formal.md``): every word in its place, through any pauses."""

from pathlib import Path

import pytest
from amaranth.hdl import Const, Mux
from prove import Bench, prove, proven
from stream_benches import hits, word_from
from test_packed import Reader

from spikeloom.hdl.memory.packed import Packing

FORMS = {
    "whole periods": (6, Packing(3, 2, 0)),
    "words behind the last period": (7, Packing(3, 2, 0)),
    "every second word, and one more": (5, Packing(2, 3, 0)),
    "every second word": (4, Packing(2, 3, 0)),
}


@pytest.mark.parametrize("form", FORMS)
def test_packed_rom(form: str, tmp_path: Path) -> None:
    depth, packing = FORMS[form]
    words = [5, 3, 6, 1, 7, 2, 4][:depth]
    bench = Bench()
    m = bench.m
    m.submodules.core = core = Reader(words, 3, packing)
    moves = bench.free(1, "moves")
    m.d.comb += core.moves.eq(moves)
    at, wraps = hits(bench, moves, depth, "at")
    expected = word_from(m, [Const(word, 3) for word in words], at, "expected")
    early = bench.past(expected, "early")
    late = bench.past(early, "late")
    # Nobody asks for a word before the reset.
    since = bench.past(Mux(bench.past(Const(1, 1), "began") == 0, 0, 1), "since")
    bench.rule("the word in its place", ~since | (core.data == late))
    bench.goal("all of them twice", (wraps == 2) & (at == 2 % depth))
    proven(prove(bench, tmp_path, depth=2 * depth + 5), folder=tmp_path)
