"""Weight memories in fewer block RAMs: the words in their order through pauses, resets and their end; what they take,
against Yosys; the cells of an ECP5."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from spikeloom.gen.cost.model import area_of
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.targets.fpga.synth import synthesise
from spikeloom.hdl.cost.parts import Parts
from spikeloom.hdl.memory.packed import Packing, packed_parts, packed_rom, packed_words, packing
from spikeloom.sim.simulators.netlist import OWN_MODELS


class Reader(wiring.Component):
    """A memory alone."""

    moves: Signal
    data: Signal

    def __init__(self, words: list[int], width: int, form: Packing) -> None:
        self.words, self.width, self.form = words, width, form
        super().__init__({"moves": In(1), "data": Out(width)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.data.eq(packed_rom(m, platform, self.words, self.width, self.moves, self.form))
        return m


def words_of(depth: int, width: int) -> list[int]:
    return [random.Random(k).getrandbits(width) for k in range(depth)]


def forms(seed: int) -> tuple[int, int, Packing]:
    """A depth, a width and a form, drawn at random: whole periods too, and words that fill no slice."""
    rng = random.Random(seed)
    period, width = rng.randint(2, 7), rng.randint(1, 19)
    depth = rng.choice([period * rng.randint(1, 4), rng.randint(period, 4 * period)])
    return depth, width, Packing(period, -(-width // (period - 1)), 0)


@pytest.mark.parametrize("seed", range(24))
def test_a_word_comes_two_cycles_later_through_pauses_and_resets(seed: int) -> None:
    depth, width, form = forms(seed)
    words, rng, starts = words_of(depth, width), random.Random(seed), Signal()
    reader = Reader(words, width, form)
    wraps = 0

    async def bench(ctx: Any) -> None:
        nonlocal wraps
        at, asked = 0, list[int | None]()
        for _ in range(10 * depth + 40):
            starting = rng.random() < 0.01
            moves = rng.random() < rng.choice([0.3, 1])
            ctx.set(reader.moves, moves)
            ctx.set(starts, starting)
            asked.append(words[at])
            wraps += moves and at == depth - 1
            at = 0 if starting else (at + moves) % depth
            if starting:
                asked = [None, None]  # nobody asks for a word before the reset
            elif len(asked) > 2 and (wanted := asked[-3]) is not None:
                assert ctx.get(reader.data) == wanted
            await ctx.tick()

    simulator = Simulator(ResetInserter(starts)(reader))
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert wraps > 1


def test_rows_hold_every_bit_once() -> None:
    words = [0x111, 0x222, 0x333, 0xABC, 0x444, 0x555]
    assert packed_words(words, 12, Packing(4, 4, 0)) == [0xC111, 0xB222, 0xA333, 0x0444, 0x0555]
    # Two slices of five bits hold a word of seven, which begins in the first one with three zeros.
    rows = packed_words([0, 0, 0b1111111], 7, Packing(3, 5, 0))
    assert [row >> 7 for row in rows] == [0b11000, 0b11111]


@pytest.mark.parametrize(
    ("depth", "width", "found"),
    [
        (576, 256, (9, 32, 8)),  # 15 otherwise
        (576, 19, (9, 3, 1)),
        (640, 512, (5, 128, 18)),  # 29
        (768, 72, (3, 36, 3)),  # 4
        (1152, 64, (9, 8, 4)),  # 8
        (513, 72, (513, 1, 3)),  # 4
        (513, 36, None),
        (512, 256, None),
        (1000, 300, None),
        (576, 18, None),
        (2048, 64, None),
        (4000, 64, None),
    ],
)
def test_the_form_that_saves_block_rams(depth: int, width: int, found: tuple[int, int, int] | None) -> None:
    form, plain = packing(depth, width), Parts()
    plain.rom(depth, width, 2)
    assert form == found
    if form is None:
        return
    assert form.blocks < plain.ebr
    rows = packed_words(words_of(depth, width), width, form)
    assert len(rows) == form.rows(depth) <= (512 if depth < 1024 else 1024)
    assert max(row.bit_length() for row in rows) <= width + form.slice


def test_no_form_has_more_rows_or_bits_than_its_block_rams() -> None:
    rng, saved = np.random.default_rng(0), 0
    for depth, width in zip(rng.integers(1, 2500, 4000).tolist(), rng.integers(1, 600, 4000).tolist(), strict=True):
        if (form := packing(depth, width)) is None:
            continue
        rows, unit = form.rows(depth), 36 if depth < 1024 else 18
        assert rows <= 18432 // unit and form.blocks == -(-(width + form.slice) // unit)
        assert form.slice * (form.period - 1) >= width
        saved += 1
    assert saved > 500


SIZES = [(576, 64), (600, 40), (1100, 44)]


@pytest.mark.parametrize(("depth", "width"), SIZES)
def test_the_cost_model_counts_its_cells(depth: int, width: int, tmp_path: Path) -> None:
    form = packing(depth, width)
    assert form is not None
    (tmp_path / "top.v").write_text(emit.module(Reader(words_of(depth, width), width, form), "top"))
    cells = synthesise(tmp_path, {"top": "top", "verilog": "top.v"}, "ecp5")
    model = area_of(packed_parts(depth, width, form))
    assert cells["ebr"] == model.ebr == form.blocks
    assert cells["ff"] == model.ff + 2  # what says that words moved
    assert abs(cells["lut4_eq"] - model.lut4_eq) < 20


BENCH = """
module bench;
  reg clk = 0, rst = 0, moves = 0;
  wire [{width}-1:0] data;
  integer k;
  top dut (.clk(clk), .rst(rst), .moves(moves), .data(data));
  initial begin
    for (k = 0; k < {cycles}; k = k + 1) begin
      rst = k < 3;
      moves = k > 4 && k % 7 != 3;
      #1 $display("%h", data);
      clk = 1;
      #1 clk = 0;
    end
    $finish;
  end
endmodule
"""


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="no iverilog on this machine")
@pytest.mark.parametrize(("depth", "width"), SIZES)
def test_cells_and_plain_form_give_the_words(depth: int, width: int, tmp_path: Path) -> None:
    form, words, cycles = packing(depth, width), words_of(depth, width), 3 * depth
    assert form is not None
    (tmp_path / "top.v").write_text(emit.module(Reader(words, width, form), "top"))
    (tmp_path / "bench.v").write_text(BENCH.format(width=width, cycles=cycles))
    files = [tmp_path / "bench.v", tmp_path / "top.v", OWN_MODELS["ecp5"]]
    at, expected = 0, []
    for k in range(cycles):
        expected.append(words[at % depth])
        at += k > 4 and k % 7 != 3
    for macro in ("-DSPIKELOOM_ECP5", "-DSPIKELOOM_OTHER"):
        subprocess.run(["iverilog", macro, "-g2012", "-s", "bench", "-o", tmp_path / "a.vvp", *files], check=True)
        done = subprocess.run(["vvp", "-n", tmp_path / "a.vvp"], capture_output=True, text=True, check=True)
        got = [int(line, 16) for line in done.stdout.split() if re.fullmatch("[0-9a-f]+", line)]
        assert got[7:] == expected[5:-2], macro
