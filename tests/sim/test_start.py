"""Registers that start with anything: one reset must do."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
import small

from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.find import auto
from spikeloom.quant.ir.netfile import load
from spikeloom.sim.simulators.start import without_initial_values
from spikeloom.sim.verify import verify

TEXT = """module top(clk);
  input clk;
  output reg o = 1'h0;
  reg signed [3:0] a = 4'h3;
  reg [7:0] \\memory$1  [3:0];
  wire [3:0] w = 4'h3;
  reg mine = 0;
  initial begin
    \\memory$1 [0] = 8'h00;
  end
  always @(posedge clk) begin
    if (we | other)
      \\memory$1 [{ a, o }] <= i;
  end
endmodule
module topmost(clk);
endmodule
"""


def test_the_copy() -> None:
    copy = without_initial_values(TEXT, "top")
    changed = [line for line in copy.splitlines() if line not in TEXT.splitlines()]
    assert changed == [
        "  output reg o;",
        "  reg signed [3:0] a;",
        "    if (!top.spikeloom_first_edge && (we | other))",
        "  reg spikeloom_first_edge = 1'b1;",
        "  always @(posedge clk) spikeloom_first_edge <= 1'b0;",
    ]
    assert copy.index("spikeloom_first_edge <=") < copy.index("module topmost")


def test_every_write_to_a_memory_waits(tmp_path: Path) -> None:
    """Those of the library too: its block RAM, and the register file of an ASIC."""
    network = load(Path(__file__).parents[2] / "models" / "digits-t4w4.safetensors")
    contents = emit.write(Design(network, auto(network, 2304)), tmp_path)
    text = (tmp_path / contents["verilog"]).read_text()
    lines = without_initial_values(text, contents["top"]).splitlines()
    memories = set(re.findall(r"^\s+reg (?:\[[^]]+\] )?(\\?\S+) +\[[^]]+\];", text, re.M))
    found = ((k, re.match(r"\s+(?:if .*\) )?(\S+) ?\[.*\] <= ", line)) for k, line in enumerate(lines))
    writes = [k for k, write in found if write and write[1] in memories]
    assert "_block_ram (" in text and len(writes) > 3
    assert all("spikeloom_first_edge" in lines[k - 1] for k in writes), [lines[k] for k in writes]


def test_a_reset_that_does_not_arrive(tmp_path: Path, cache: Path) -> None:
    """Without its reset a part still starts from its initial values, and no word would be wrong."""
    design, frames = small.design(), small.frames(12)
    contents = emit.write(design, tmp_path)
    right = [verify(design, contents, tmp_path, frames, seed=seed, cache=cache) for seed in range(3)]
    assert all(outcome.passed for outcome in right), [str(d) for outcome in right for d in outcome.differences]
    verilog = tmp_path / contents["verilog"]
    text = verilog.read_text()
    verilog.write_text(text.replace(".rst(rst)", ".rst(1'b0)", 1))
    contents["verilog_sha256"] = hashlib.sha256(verilog.read_bytes()).hexdigest()
    assert verilog.read_text() != text
    found = [verify(design, contents, tmp_path, frames, seed=seed, cache=cache) for seed in range(3)]
    assert any(outcome.differences for outcome in found)
    again = verify(design, contents, tmp_path, frames, seed=1, cache=cache)
    assert [str(d) for d in again.differences] == [str(d) for d in found[1].differences]


@pytest.mark.parametrize("line", ["  reg x = 1'bx;", "  reg [1:0] words [3:0];", "  wire x = 1'h0;", "reg x = 1'h0;"])
def test_what_stays(line: str) -> None:
    assert without_initial_values(line, "top") == line
