"""The multiplier of ``multiply.v``: the cells of the devices give what the plain form gives, in the same cycles."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pyosys
import pytest

from spikeloom.hdl import verilog
from spikeloom.sim.simulators.netlist import OWN_MODELS

SOURCE = Path(verilog.__file__).with_name("multiply.v")
ICE40 = Path(pyosys.__file__).parent / "share" / "ice40" / "cells_sim.v"
DEVICES = ["ecp5", "ice40"]

BENCH = """
module bench;
  reg clk = 0;
  reg [{a}-1:0] a = 0;
  reg [{b}-1:0] b = 0;
  wire [{a}+{b}-1:0] ours, plain;
  cells #(.A({a}), .B({b})) first (clk, a, b, ours);
  spikeloom_multiply #(.A({a}), .B({b})) second (clk, a, b, plain);
  integer k, seed = 1, wrong = 0, words = 0;
  initial begin
    for (k = 0; k < 4000; k = k + 1) begin
      a = k % 5 ? $random(seed) : {{{a}{{1'b1}}}};
      b = k % 7 ? $random(seed) : {{{b}{{1'b1}}}};
      #1 clk = 1;
      #1 clk = 0;
      if (k > 2 && ours !== plain) wrong = wrong + 1;
      if (k > 2 && plain != 0) words = words + 1;
    end
    $display("%0d wrong, %0d", wrong, words);
    $finish;
  end
endmodule
"""


def wrong(folder: Path, device: str, a: int, b: int, text: str) -> tuple[int, int]:
    """Cycles in which the cells of ``device``, of the form ``text``, do not give what the plain form gives; cycles with
    a product."""
    macro = f"SPIKELOOM_{device.upper()}"
    ours = text.replace("spikeloom_multiply", "cells").replace(f"`elsif {macro}", "`else\n`ifndef NOTHING")
    ours = ours.replace(f"`ifdef {macro}", "`ifndef NOTHING")
    if "`else\n`ifndef" in ours:
        ours += "`endif\n"
    (folder / "cells.v").write_text(ours)
    if device == "ecp5":
        models = OWN_MODELS["ecp5"].read_text()
    else:
        models = "".join(re.findall(r"^module SB_MAC16 .*?^endmodule\n", ICE40.read_text(), re.DOTALL | re.MULTILINE))
    (folder / "models.v").write_text(models)
    (folder / "bench.v").write_text(BENCH.format(a=a, b=b))
    files = [folder / "bench.v", folder / "cells.v", SOURCE, folder / "models.v"]
    subprocess.run(["iverilog", "-g2005-sv", "-s", "bench", "-o", folder / "a.vvp", *files], check=True)
    done = subprocess.run(["vvp", "-n", folder / "a.vvp"], capture_output=True, text=True, check=True)
    found = re.search(r"(\d+) wrong, (\d+)", done.stdout)
    assert found, done.stdout
    return int(found[1]), int(found[2])


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="no iverilog on this machine")
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("a", "b"), [(1, 1), (8, 8), (11, 15), (16, 3), (11, 17), (18, 18)])
def test_the_cells_give_what_the_plain_form_gives(device: str, a: int, b: int, tmp_path: Path) -> None:
    text = SOURCE.read_text()
    differ, words = wrong(tmp_path, device, a, b, text)
    assert differ == 0 and words > 500, (differ, words)
    if device == "ecp5" or max(a, b) <= 16:
        early = text.replace('REG_OUTPUT_CLK("CLK0")', 'REG_OUTPUT_CLK("NONE")').replace("REG2(1'b1)", "REG2(1'b0)")
        assert wrong(tmp_path, device, a, b, early)[0] > 500, "the register behind the product makes no difference"


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="no iverilog on this machine")
def test_the_model_stops_at_what_it_does_not_know(tmp_path: Path) -> None:
    text = SOURCE.read_text().replace(".SIGNEDA(1'b0)", ".SIGNEDA(1'b1)")
    with pytest.raises(subprocess.CalledProcessError) as stopped:
        wrong(tmp_path, "ecp5", 8, 8, text)
    assert "no model of signs" in stopped.value.stdout
