"""After synthesis: the cells of ECP5 and iCE40 give every word in every cycle, and a wrong bit in a LUT is reported."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import small

from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.emit.origin import inspect
from spikeloom.gen.folding.find import auto
from spikeloom.gen.targets.yosys import YosysError
from spikeloom.hdl.cache import cache_folder
from spikeloom.quant import data
from spikeloom.quant.ir.netfile import load
from spikeloom.sim.simulators.netlist import build_netlist
from spikeloom.sim.trace import SimulationError
from spikeloom.sim.verify import verify

ROOT = Path(__file__).resolve().parents[2]

LUTS = {
    "ecp5": (r"  LUT4 #\(\s*\.INIT\((16'h\w+)\)", "ABCD", "Z"),
    "ice40": (r"  SB_LUT4 #\(\s*\.LUT_INIT\((16'h\w+)\)", ("I0", "I1", "I2", "I3"), "O"),
}
"""By family: how a LUT begins in a netlist, its inputs and its output."""

FAULTS = 10


def with_faults(text: str, family: str) -> str:
    """A netlist in which one bit of a LUT's table turns over: ``fault.txt`` holds the number of the LUT, 0 for none,
    and that of the bit."""
    pattern, inputs, output = LUTS[family]
    found = list(re.finditer(pattern, text))
    chosen = found[:: len(found) // FAULTS][:FAULTS]
    for number, match in reversed(list(enumerate(chosen, 1))):
        fault = f"  faulty_lut #(.NUMBER({number}), .INIT({match[1]})"
        text = text[: match.start()] + fault + text[match.end() :]
    return text + f"""
module faulty_lut #(parameter NUMBER = 0, parameter [15:0] INIT = 0) (
    input {", ".join(inputs)}, output {output});
  integer file, got, number, turned;
  initial begin
    file = $fopen("fault.txt", "r"); got = $fscanf(file, "%d %d", number, turned); $fclose(file);
  end
  wire [15:0] table_ = number == NUMBER ? INIT ^ (16'h1 << turned) : INIT;
  assign {output} = table_[{{{", ".join(reversed(inputs))}}}];
endmodule
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of its own, for the netlists in it are changed; Verilator's library is that of all tests."""
    folder = tmp_path_factory.mktemp("cache")
    for library in cache_folder().glob("runtime-*"):
        shutil.copytree(library, folder / library.name)
    return folder


@pytest.mark.xdist_group("netlist")
@pytest.mark.parametrize("family", ["ecp5", pytest.param("ice40", marks=pytest.mark.slow)])
def test_cells_and_their_faults(
    family: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    design, frames = small.design(), small.frames(40)
    contents = inspect(tmp_path, design, emit.write(design, tmp_path)).contents  # with the ports that verify compares
    built = build_netlist(tmp_path, contents, family, cache)
    assert built.build_seconds > 0 and sum(built.cells.values()) > 100
    built.verilog.write_text(with_faults(built.verilog.read_text(), family))

    def passes(number: int, bit: int) -> bool:
        Path("fault.txt").write_text(f"{number} {bit}")
        environment = {"pauses": 0.4, "resets": ((60, 2),)}
        outcome = verify(design, contents, tmp_path, frames, netlist=family, cache=cache, **environment)
        assert outcome.names == tuple(b.name for b in design.boundaries) and outcome.netlist == family
        assert outcome.build_seconds == 0 or not number
        return outcome.passed

    assert passes(0, 0)
    # A bit of a table that nothing ever looks up makes no difference, so every bit is turned until one does.
    reported = [any(not passes(number, bit) for bit in range(16)) for number in range(1, FAULTS + 1)]
    assert sum(reported) >= FAULTS - 2, reported


def test_only_what_can_be_simulated(tmp_path: Path) -> None:
    design = small.design()
    contents = emit.write(design, tmp_path)
    with pytest.raises(YosysError, match="'xc7' cannot be simulated; those of ecp5, ice40 can"):
        verify(design, contents, tmp_path, small.frames(2), netlist="xc7")
    with pytest.raises(SimulationError, match="in verilator only, not in amaranth"):
        verify(design, contents, tmp_path, small.frames(2), netlist="ecp5", simulator="amaranth")


@pytest.mark.slow
@pytest.mark.parametrize("plain", [False, True], ids=["boundaries", "ports"])
@pytest.mark.parametrize("family", ["ecp5", "ice40"])
def test_the_digits_and_workload_a(family: str, plain: bool, tmp_path: Path) -> None:
    from benchmarks.works import WORKS

    digits, a = load(ROOT / "models" / "digits-t4w4.safetensors"), WORKS["A"]()
    for name, network, frames, cycles in (
        ("digits", digits, data.load("digits").test_x[:30], None),
        ("A", a.network, a.frames[:30], 512),
    ):
        design = Design(network, auto(network, cycles))
        contents = emit.write(design, tmp_path / name)
        outcome = verify(design, contents, tmp_path / name, frames, netlist=family, plain=plain)
        assert outcome.passed, [str(d) for d in outcome.differences]
        assert np.array_equal(outcome.answers, outcome.classes) and len(outcome.answers) == 30
        assert outcome.boundaries == (2 if plain else len(design.boundaries))
