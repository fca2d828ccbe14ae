"""The memory of ``block_ram.v``: block RAMs of an ECP5 with their registers give what the plain form gives."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from spikeloom.hdl import verilog
from spikeloom.hdl.cost.parts import Parts
from spikeloom.sim.simulators.netlist import OWN_MODELS

SOURCE = Path(verilog.__file__).with_name("block_ram.v")

BENCH = """
module bench;
  reg clk = 0, we = 0;
  reg [{high}:0] waddr = 0, raddr = 0;
  reg [{width}-1:0] wdata = 0;
  wire [{width}-1:0] ours, plain;
  cells #(.DEPTH({depth}), .WIDTH({width}), .ADDRESS({high} + 1)) a (clk, we, waddr, wdata, raddr, ours);
  spikeloom_block_ram #(.DEPTH({depth}), .WIDTH({width}), .ADDRESS({high} + 1)) b (clk, we, waddr, wdata, raddr, plain);
  integer k, seed = 1, wrong = 0, words = 0;
  initial begin
    for (k = 0; k < 4000; k = k + 1) begin
      we = $random(seed);
      // A few addresses, low and high ones, so that most words are read after they were written.
      waddr = k % 2 ? {depth} - 1 - ($random(seed) & 15) : $random(seed) & 15;
      raddr = k % 3 ? {depth} - 1 - ($random(seed) & 15) : $random(seed) & 15;
      if (we && waddr == raddr) we = 0;
      wdata = {{4{{$random(seed)}}}};
      #1 clk = 1;
      #1 clk = 0;
      if (k > 1 && ours !== plain) wrong = wrong + 1;
      if (k > 1 && plain != 0) words = words + 1;
    end
    $display("%0d wrong, %0d", wrong, words);
    $finish;
  end
endmodule
"""


def wrong(folder: Path, depth: int, width: int, text: str) -> tuple[int, int]:
    """Cycles in which the cells, of the form ``text``, do not give what the plain form gives; cycles with a word."""
    ours = re.sub("spikeloom_block_ram", "cells", text).replace("`ifdef SPIKELOOM_ECP5", "`ifndef NOTHING")
    (folder / "cells.v").write_text(ours)
    (folder / "bench.v").write_text(BENCH.format(depth=depth, width=width, high=(depth - 1).bit_length() - 1))
    files = [folder / "bench.v", folder / "cells.v", SOURCE, OWN_MODELS["ecp5"]]
    subprocess.run(["iverilog", "-g2005-sv", "-s", "bench", "-o", folder / "a.vvp", *files], check=True)
    done = subprocess.run(["vvp", "-n", folder / "a.vvp"], capture_output=True, text=True, check=True)
    found = re.search(r"(\d+) wrong, (\d+)", done.stdout)
    assert found, done.stdout
    return int(found[1]), int(found[2])


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="no iverilog on this machine")
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
