"""The multiplier of ``multiply.v``: the cells of the devices give what the plain form gives, in the same cycles, and
synthesis makes one of each."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cell_bench import bench, differing, needs_icarus

from spikeloom.gen.targets import yosys
from spikeloom.gen.targets.fpga.synth import DEVICES as SYNTHESIS
from spikeloom.hdl import verilog

SOURCE = Path(verilog.__file__).with_name("multiply.v")
DEVICES = ["ecp5", "ice40", "xc7"]
SIZES = [(1, 1), (8, 8), (11, 15), (16, 3), (11, 17), (18, 18)]

STEP = """
  a = k % 5 ? $random(seed) : {{{a}{{1'b1}}}};
  b = k % 7 ? $random(seed) : {{{b}{{1'b1}}}};
"""

CELLS = {
    "ice40": ("SB_MAC16", {"A_REG": 1, "B_REG": 1, "PIPELINE_16x16_MULT_REG2": 1}),
    "xc7": ("DSP48E1", {"AREG": 1, "BREG": 1, "PREG": 1, "MREG": 0}),
    "ecp5": ("MULT18X18D", {"REG_INPUTA_CLK": "CLK0", "REG_INPUTB_CLK": "CLK0", "REG_OUTPUT_CLK": "CLK0"}),
}
"""The cell of a device, and what of its parameters says that its registers are in use."""


def wrong(folder: Path, device: str, a: int, b: int, text: str) -> tuple[int, int]:
    """Cycles in which the cells of ``device``, of the form in ``text``, do not give what the plain form gives; cycles
    with a product."""
    declared = f"reg [{a - 1}:0] a = 0; reg [{b - 1}:0] b = 0; wire [{a + b - 1}:0] ours, plain;"
    module = bench("spikeloom_multiply", declared, f".A({a}), .B({b})", "clk, a, b", STEP.format(a=a, b=b), late=2)
    return differing(folder, device, SOURCE, text, module)


@needs_icarus
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("a", "b"), SIZES)
def test_the_cells_give_what_the_plain_form_gives(device: str, a: int, b: int, tmp_path: Path) -> None:
    text = SOURCE.read_text()
    differ, words = wrong(tmp_path, device, a, b, text)
    assert differ == 0 and words > 500, (differ, words)
    if device != "ice40" or max(a, b) <= 16:
        early = text.replace('REG_OUTPUT_CLK("CLK0")', 'REG_OUTPUT_CLK("NONE")').replace("REG2(1'b1)", "REG2(1'b0)")
        early = early.replace(".PREG(1)", ".PREG(0)")
        assert wrong(tmp_path, device, a, b, early)[0] > 500, "the register behind the product makes no difference"


@needs_icarus
@pytest.mark.parametrize("right", ["{18{wide_b[17]}}", ".CREG(1)"])
def test_a_wrong_highest_bit_is_found(right: str, tmp_path: Path) -> None:
    text = SOURCE.read_text()
    assert text.count(right) == 1
    broken = text.replace(right, {".CREG(1)": ".CREG(0)"}.get(right, "18'b0"))
    assert wrong(tmp_path, "xc7", 18, 18, broken)[0] > 500 and wrong(tmp_path, "xc7", 18, 17, broken)[0] == 0


@needs_icarus
def test_the_model_stops_at_what_it_does_not_know(tmp_path: Path) -> None:
    text = SOURCE.read_text().replace(".SIGNEDA(1'b0)", ".SIGNEDA(1'b1)")
    with pytest.raises(subprocess.CalledProcessError) as stopped:
        wrong(tmp_path, "ecp5", 8, 8, text)
    assert "no model of signs" in stopped.value.stdout


def synthesised(folder: Path, device: str, text: str) -> list[dict[str, int | str]]:
    """Parameters of the multipliers that synthesis for ``device`` makes of one of each size that it takes."""
    cell, wanted = CELLS[device]
    sizes = [(a, b) for a, b in SIZES if device != "ice40" or max(a, b) <= 16]
    ports = [f"input [{a - 1}:0] a{k}, input [{b - 1}:0] b{k}, output [{a + b - 1}:0] y{k}"
             for k, (a, b) in enumerate(sizes)]  # fmt: skip
    ours = [f"spikeloom_multiply #(.A({a}), .B({b})) m{k} (clk, a{k}, b{k}, y{k});" for k, (a, b) in enumerate(sizes)]
    top = f"module top (input clk, {', '.join(ports)}); {' '.join(ours)} endmodule"
    (folder / "top.v").write_text(text + top)
    passes = [f"read_verilog -DSPIKELOOM_{device.upper()} top.v", f"{SYNTHESIS[device]} -flatten -top top",
              "write_json top.json"]  # fmt: skip
    yosys.run(passes, folder)
    cells = json.loads((folder / "top.json").read_text())["modules"]["top"]["cells"].values()
    found = [one["parameters"] for one in cells if one["type"] == cell]
    return [{key: _value(one.get(key, "")) for key in wanted} for one in found]


def _value(text: str) -> int | str:
    return int(text, 2) if text.strip("01") == "" != text else text


@pytest.mark.parametrize("device", [pytest.param(name, marks=pytest.mark.slow if name == "xc7" else ())
                                    for name in DEVICES])  # fmt: skip
def test_synthesis_makes_one_of_each_with_its_registers(device: str, tmp_path: Path) -> None:
    _, wanted = CELLS[device]
    count = 4 if device == "ice40" else len(SIZES)
    text = SOURCE.read_text()
    assert synthesised(tmp_path, device, text) == [wanted] * count
    plain = text.replace("SPIKELOOM_", "NONE_")
    assert synthesised(tmp_path, device, plain) != [wanted] * count, "synthesis finds them in the plain form"
