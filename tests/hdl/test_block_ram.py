"""The memory of ``block_ram.v``: block RAMs of an ECP5 with their registers give what the plain form gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from cell_bench import bench, differing, needs_icarus

from spikeloom.hdl import verilog
from spikeloom.hdl.cost.parts import Parts

SOURCE = Path(verilog.__file__).with_name("block_ram.v")

STEP = """
  we = $random(seed);
  // A few addresses, low and high ones, so that most words are read after they were written.
  waddr = k % 2 ? {depth} - 1 - ($random(seed) & 15) : $random(seed) & 15;
  raddr = k % 3 ? {depth} - 1 - ($random(seed) & 15) : $random(seed) & 15;
  if (we && waddr == raddr) we = 0;
  wdata = {{4{{$random(seed)}}}};
"""


def wrong(folder: Path, depth: int, width: int, text: str) -> tuple[int, int]:
    """Cycles in which the cells, of the form in ``text``, do not give what the plain form gives; cycles with a word."""
    bits = (depth - 1).bit_length()
    declared = f"reg we = 0; reg [{bits - 1}:0] waddr = 0, raddr = 0; reg [{width - 1}:0] wdata = 0; "
    declared += f"wire [{width - 1}:0] ours, plain;"
    parameters, ports = f".DEPTH({depth}), .WIDTH({width}), .ADDRESS({bits})", "clk, we, waddr, wdata, raddr"
    module = bench("spikeloom_block_ram", declared, parameters, ports, STEP.format(depth=depth), late=1)
    return differing(folder, "ecp5", SOURCE, text, module)


@needs_icarus
@pytest.mark.parametrize(
    ("depth", "width"), [(17, 70), (512, 36), (513, 20), (1500, 11), (4096, 9), (5000, 3), (16384, 2)]
)
def test_the_cells_give_what_the_plain_form_gives(depth: int, width: int, tmp_path: Path) -> None:
    text = SOURCE.read_text()
    differ, words = wrong(tmp_path, depth, width, text)
    assert differ == 0 and words > 1000, (differ, words)
    late, _ = wrong(tmp_path, depth, width, text.replace('"OUTREG"', '"NOREG"'))
    assert late > 100, "the register behind the block RAM makes no difference"


@pytest.mark.parametrize(("depth", "cells"), [(512, 2), (513, 3), (1025, 5), (2049, 10), (4097, 20), (8193, 40)])
def test_as_many_cells_as_counted(depth: int, cells: int) -> None:
    parts = Parts()
    parts.block_ram(depth, 40)
    assert (parts.ebr, parts.ff, parts.lut_ram) == (cells, 0, 0)
