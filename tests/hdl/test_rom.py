"""The weight memory of ``rom.v``: what the instantiated block RAMs of an ECP5 hold, read from the netlist."""

import json
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from spikeloom.gen.emit import writer as emit
from spikeloom.gen.targets import yosys
from spikeloom.hdl.cost.parts import Parts
from spikeloom.hdl.memory.ram import ram
from spikeloom.hdl.memory.rom import block_rams, packed_rows, rom
from spikeloom.hdl.memory.style import memory_style, rom_cycles, rom_style
from spikeloom.hdl.memory.tables import table_text
from spikeloom.hdl.verilog.library import Library
from spikeloom.sim.simulators.netlist import OWN_MODELS

SIZES = [(36, 40), (600, 20), (1500, 11)]


class Reader(wiring.Component):
    """A memory alone."""

    address: Signal
    data: Signal

    def __init__(self, words: list[int], width: int) -> None:
        self.words, self.width = words, width
        super().__init__({"address": In(range(len(words))), "data": Out(width)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cycles = rom_cycles(len(self.words))
        m.d.comb += self.data.eq(rom(m, platform, self.words, self.width, self.address, cycles=cycles))
        return m


class Cells(Reader):
    """The block RAMs of a memory alone."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        assert isinstance(platform, Library)
        block_rams(m, platform, self.words, self.address, self.data)
        return m


def make(depth: int, width: int) -> tuple[list[int], Reader]:
    words = [random.Random(k).getrandbits(width) for k in range(depth)]
    assert rom_style(depth, width) == "block"
    return words, Reader(words, width)


def netlist(reader: Reader, macro: str, folder: Path) -> dict[str, Any]:
    """The module of ``reader``, flattened, as Yosys writes it in JSON."""
    (folder / "rom.v").write_text(emit.module(reader, "top"))
    steps = ["hierarchy -top top", "proc", "flatten", "opt_clean", "write_json rom.json"]
    yosys.run([f"read_verilog {macro} rom.v", *steps], folder)
    return json.loads((folder / "rom.json").read_text())["modules"]["top"]


def rams(module: dict[str, Any]) -> list[dict[str, Any]]:
    """The cells, without Yosys's notes on where they come from."""
    return [cell for cell in module["cells"].values() if cell["type"] != "$scopeinfo"]


def contents(cell: dict[str, Any]) -> list[int]:
    """The words of 18 bits of a block RAM: 16 in an INITVAL, each in 20 bits."""
    values = [int(cell["parameters"][f"INITVAL_{k:02X}"], 2) for k in range(64)]
    return [value >> (20 * i) & 0x3FFFF for value in values for i in range(16)]


def read(module: dict[str, Any], held: list[list[int]], address: int) -> int:
    """What the block RAMs, which hold ``held``, give for ``address``."""
    nets: dict[Any, int] = {"0": 0, "1": 1}
    nets |= {net: address >> k & 1 for k, net in enumerate(module["ports"]["address"]["bits"])}
    found: dict[Any, int] = {}
    for cell, rows in zip(rams(module), held, strict=True):
        assert cell["type"] == "DP16KD"
        pins, parameters = cell["connections"], cell["parameters"]
        for port in "AB":
            assert parameters[f"REGMODE_{port}"] == "OUTREG", "the register behind the block RAM is not used"
            assert [pins[f"{n}{port}"] for n in ("CE", "OCE", "WE", "RST")] == [["1"], ["1"], ["0"], ["0"]]
            place = sum(nets[pins[f"AD{port}{k}"][0]] << k for k in range(14))
            bits = int(parameters[f"DATA_WIDTH_{port}"], 2)
            inside = 0 if bits == 18 else 9 * (place >> 3 & 1) + (place & 7 if bits < 9 else 0)
            value = rows[place >> 4] >> inside
            found |= {pins[f"DO{port}{k}"][0]: value >> k & 1 for k in range(bits) if pins[f"DO{port}{k}"]}
    return sum(found[net] << k for k, net in enumerate(module["ports"]["data"]["bits"]))


@pytest.mark.parametrize(("depth", "width"), SIZES)
def test_block_rams_hold_the_words(depth: int, width: int, tmp_path: Path) -> None:
    words, reader = make(depth, width)
    module = netlist(reader, "-DSPIKELOOM_ECP5", tmp_path)
    held = [contents(cell) for cell in rams(module)]
    assert [read(module, held, k) for k in range(depth)] == words
    per_ram = 36 if depth <= 512 else 18 if depth <= 1024 else 9
    bank = 144 * 256 // max(256, 1 << (depth - 1).bit_length())
    assert len(rams(module)) == sum(-(-min(bank, width - k) // per_ram) for k in range(0, width, bank))


@pytest.mark.parametrize(("depth", "width", "cycles"), [(36, 80, 2), (2048, 8, 2), (2049, 8, 3)])
def test_a_word_comes_two_or_three_cycles_later(depth: int, width: int, cycles: int) -> None:
    words, reader = make(depth, width)
    assert rom_cycles(depth) == cycles

    async def bench(ctx: Any) -> None:
        for k in range(40):
            ctx.set(reader.address, k % depth)
            await ctx.tick()
            if k >= cycles - 1:
                assert ctx.get(reader.data) == words[(k - cycles + 1) % depth], f"cycle {k}"

    simulator = Simulator(reader)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize(("rule", "small", "few"), [(rom_style, "logic", 32), (memory_style, "distributed", 16)])
def test_a_memory_is_small_by_its_words_or_its_bits(rule: Callable[[int, int], str], small: str, few: int) -> None:
    assert rule(few, 1000) == rule(64, 16) == rule(1024, 1) == small
    assert rule(few + 1, 1000) == rule(64, 17) == rule(1025, 1) == rule(600, 20) == "block"


def test_rows_are_packed_with_the_first_column_lowest() -> None:
    assert packed_rows(np.array([[1, 2, -1], [-3, 0, 4]]), 4) == [0xF21, 0x40D]


BENCH = """
module bench;
  reg clk = 0;
  reg [{high}:0] address = 0;
  wire [{width}-1:0] data;
  top dut (.clk(clk), .rst(1'b0), .address(address), .data(data));
  initial begin
    for (integer k = 0; k < {depth} + 2; k = k + 1) begin
      if (k < {depth}) address = k;
      #1 clk = 1;
      #1 clk = 0;
      if (k > 1) $display("%h", data);
    end
    $finish;
  end
endmodule
"""
DEEP = [(2049, 8, 2, 12), (2049, 9, 2, 11), (2304, 16, 3, 20)]
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="no iverilog on this machine")
@pytest.mark.parametrize(("depth", "width", "cells", "ff"), DEEP)
def test_deep_memories_are_block_rams_with_their_registers(
    depth: int, width: int, cells: int, ff: int, tmp_path: Path
) -> None:
    words, reader = make(depth, width)
    text = emit.module(reader, "top")
    (tmp_path / "top.v").write_text(text)
    (tmp_path / "bench.v").write_text(BENCH.format(depth=depth, width=width, high=(depth - 1).bit_length() - 1))
    files = [tmp_path / "bench.v", tmp_path / "top.v", OWN_MODELS["ecp5"]]
    for macro in ("-DSPIKELOOM_ECP5", "-DSPIKELOOM_OTHER"):
        subprocess.run(["iverilog", macro, "-g2012", "-s", "bench", "-o", tmp_path / "a.vvp", *files], check=True)
        done = subprocess.run(["vvp", "-n", tmp_path / "a.vvp"], capture_output=True, text=True, check=True)
        assert [int(line, 16) for line in done.stdout.split() if re.fullmatch("[0-9a-f]+", line)] == words, macro
    made = [cell["type"] for cell in rams(netlist(reader, "-DSPIKELOOM_ECP5", tmp_path))]
    parts = Parts()
    parts.rom(depth, width, rom_cycles(depth))
    assert made.count("DP16KD") == parts.ebr == cells
    assert parts.ff == ff


@pytest.mark.parametrize(("depth", "width"), [(5000, 3), (9000, 1)])
def test_block_rams_of_narrow_words(depth: int, width: int, tmp_path: Path) -> None:
    words = [random.Random(k).getrandbits(width) for k in range(depth)]
    module = netlist(Cells(words, width), "-DSPIKELOOM_ECP5", tmp_path)
    held = [contents(cell) for cell in rams(module)]
    assert len(held) == -(-width * (depth // 8192 + 1) // 2)
    assert [read(module, held, k) for k in range(depth)] == words


def test_every_table_has_a_module_of_its_own() -> None:
    library, address = Library("asic"), Signal(1)

    def made(words: list[int], macro: bool) -> str:
        return getattr(library.table(words, 2, macro, {"addr": address}, {"data": Signal(2)}), "type")  # noqa: B009

    names = [made(words, macro) for macro in (True, False) for words in ([1, 2], [2, 1], [3, 3])]
    assert names == [f"spikeloom_{kind}_{k}" for kind in ("rom", "table") for k in range(3)]
    assert made([2, 1], True) == names[1] and made([2, 1], False) == names[4], "equal words share a module"
    assert [library.text.count(f"module {name} ") + library.text.count(f"module {name}(") for name in names] == [1] * 6
    assert [memory.words for memory in library.memories] == [(1, 2), (2, 1), (3, 3), (2, 1)]


@pytest.mark.parametrize(("words", "bits"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_a_table_has_the_address_that_its_words_need(words: int, bits: int) -> None:
    text = table_text("found", list(range(words)), 4, macro=False)
    assert f"input [{bits - 1}:0] addr;" in text and text.count(f"{bits}'d") == words - 1
    assert text.count("data <= 4'h") == words and f"data <= 4'h{words - 1};\n" in text


def test_an_asic_lists_its_memories_by_kind() -> None:
    library, m = Library("asic"), Module()
    for name, domain in (("late", "sync"), ("early", "comb")):
        ram(m, library, 8, 20, name=name, domain=domain)
    assert [(found.module, found.kind, found.depth, found.width) for found in library.memories] == [
        ("spikeloom_ram", "ram", 20, 8), ("spikeloom_register_file", "register file", 20, 8)
    ]  # fmt: skip
