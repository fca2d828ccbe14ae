"""The additions of ``adds.v``: every device's form is proven equal to the plain one, and that one to arithmetic."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Const, Module, Signal, Value
from amaranth.sim import Simulator

import spikeloom.hdl
from spikeloom.gen import yosys
from spikeloom.hdl.adders import Term
from spikeloom.hdl.gated import Addition, PairFormat, add, sum_up

SOURCE = Path(spikeloom.hdl.__file__).parent / "adds.v"
MODELS = {"ecp5": "ecp5/cells_sim.v", "xc7": "xilinx/cells_sim.v", "ice40": "ice40/cells_sim.v"}
SYNTHESIS = {"ecp5": "synth_ecp5", "xc7": "synth_xilinx -family xc7", "ice40": "synth_ice40"}
SHAPES = [(1, 1), (1, 4), (3, 3), (4, 4), (2, 5), (2, 8), (5, 2)]

# The form of a device and the plain one side by side, and whether they differ.
BENCH = """
module {name} (input [{n}*{w}-1:0] a, b, input [{n}-1:0] ax, bx, output [{n}*({w}+1)-1:0] y);
  spikeloom_adds #(.COUNT({n}), .WIDTH({w}), .SIGNED({signed}), .GATED({gated})) adds (
    .a(a), .b(b), .ax(ax), .bx(bx), .bn(~bx), .y(y));
endmodule
"""


def prove(folder: Path, device: str, count: int, width: int, signed: int, gated: int, mapping: list[str]) -> None:
    """Prove by SAT that the form of ``device`` equals the plain one; YosysError where it does not."""
    bench = BENCH.format(name="bench", n=count, w=width, signed=signed, gated=gated)
    (folder / "adds.v").write_text(SOURCE.read_text() + bench)
    yosys.run(
        [
            "read_verilog adds.v", "hierarchy -top bench", "proc", "flatten", "opt_clean", "rename bench plain",
            "design -stash plain",
            f"read_verilog -DSPIKELOOM_{device.upper()} adds.v", *mapping, f"read_verilog -nooverwrite +/{MODELS[device]}",
            "hierarchy -top bench", "proc", "flatten", "opt_clean", "rename bench small",
            "design -copy-from plain plain",
            "miter -equiv -flatten -make_assert plain small both",
            "hierarchy -top both", "sat -verify -prove-asserts -set-def-inputs both",
        ],
        folder,
    )  # fmt: skip


@pytest.mark.parametrize("device", MODELS)
@pytest.mark.parametrize(("count", "width"), SHAPES)
@pytest.mark.parametrize(("signed", "gated"), [(0, 0), (0, 1), (1, 1)])
def test_every_device_adds_the_same(
    device: str, count: int, width: int, signed: int, gated: int, tmp_path: Path
) -> None:
    prove(tmp_path, device, count, width, signed, gated, [])
