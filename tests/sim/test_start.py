"""Registers that start with anything: one reset must do."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import small

from spikeloom.gen.emit import writer as emit
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
