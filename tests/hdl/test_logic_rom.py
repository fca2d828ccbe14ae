"""Weight memories in LUTs: what they hold, when it comes, and that no copy of the address drives too much."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from spikeloom.gen.emit import writer as emit
from spikeloom.gen.targets import yosys
from spikeloom.hdl.memory.logic_rom import LOADS, address_copies
from spikeloom.hdl.memory.rom import rom

CASES = [(36, 70), (20, 40), (8, 6), (100, 11)]


class Reader(wiring.Component):
    """A counter and the memory that it reads."""

    data: Signal
    moves: Signal

    def __init__(self, words: list[int], width: int) -> None:
        self.words, self.width = words, width
        super().__init__({"data": Out(width), "moves": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        address = Signal(range(len(self.words)))
        with m.If(self.moves):
            m.d.sync += address.eq(address + 1)
        m.d.comb += self.data.eq(rom(m, platform, self.words, self.width, address, logic=True))
        return m


def words_of(depth: int, width: int) -> list[int]:
    """Random words, with a column that is the same in all of them and two that are equal."""
    words = [random.Random(k).getrandbits(width) & ~8 for k in range(depth)]
    return [word & ~32 | (word & 1) << 5 for word in words]


@pytest.mark.parametrize(("depth", "width"), CASES)
def test_a_word_comes_two_cycles_later(depth: int, width: int) -> None:
    words = words_of(depth, width)
    reader = Reader(words, width)

    async def bench(ctx: Any) -> None:
        ctx.set(reader.moves, 1)
        for k in range(depth):
            await ctx.tick()
            if k:
                assert ctx.get(reader.data) == words[k - 1], f"cycle {k}"

    simulator = Simulator(reader)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize(("depth", "width"), CASES[:2])
def test_copies_of_the_address_stay_apart(depth: int, width: int, tmp_path: Path) -> None:
    (tmp_path / "rom.v").write_text(emit.module(Reader(words_of(depth, width), width), "top"))
    yosys.run(["read_verilog -DSPIKELOOM_ECP5 rom.v", "synth_ecp5 -top top", "write_json rom.json"], tmp_path)
    cells = json.loads((tmp_path / "rom.json").read_text())["modules"]["top"]["cells"].values()
    bits, copies = (depth - 1).bit_length(), address_copies(depth, width - 2)
    flip_flops = [cell for cell in cells if cell["type"] == "TRELLIS_FF"]
    assert copies > 1 and len(flip_flops) == width - 2 + bits * (copies + 1)
    loads = Counter(bit for cell in cells for pin, nets in cell["connections"].items()
                    if cell["port_directions"][pin] == "input" for bit in nets)  # fmt: skip
    copied = [cell["connections"]["Q"][0] for cell in flip_flops if cell["connections"]["DI"][0] in
              {other["connections"]["Q"][0] for other in flip_flops}]  # fmt: skip
    assert len(copied) >= bits * copies and max(loads[net] for net in copied) <= 1.25 * LOADS
