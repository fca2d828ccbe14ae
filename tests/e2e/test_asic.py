"""The target ASIC: the same words in the same cycles from any initial contents, no initial value in the Verilog, its
memories as macros, lint."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from random_networks import designs, runs

from spikeloom import api
from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.find import designed
from spikeloom.gen.folding.fold import Fold, read_folds
from spikeloom.gen.targets.asic import area as asic_area
from spikeloom.gen.targets.yosys import YosysError
from spikeloom.hdl.cores.window.store import Store
from spikeloom.hdl.verilog.library import Library
from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network, Signal
from spikeloom.quant.ir.ops import IF, Conv2d, Flatten, Input, Linear, Readout
from spikeloom.sim.compare import compare
from spikeloom.sim.ports import DesignPorts
from spikeloom.sim.predict import boundary_infos, golden_words, predict
from spikeloom.sim.simulators.toolchain import run_program, verilator_root
from spikeloom.sim.simulators.verilator import VerilatorModel
from spikeloom.sim.verify import verify

ROOT = Path(__file__).resolve().parents[2]
WAIVED = ("DECLFILENAME", "UNUSEDSIGNAL")
"""Rules that docs/asic.md lists."""


def small() -> Design:
    """Padding in all three kinds of windows: whole kernel columns, a ring, a ring with words skipped; a ROM."""
    rng = np.random.default_rng(4)

    def conv(name: str, source: str, inputs: int) -> tuple[Conv2d, IF]:
        weight = rng.integers(-7, 8, (4, inputs, 3, 3))
        levels = {"threshold": rng.integers(9, 20, 4), "bias": rng.integers(-3, 4, 4), "v0": rng.integers(0, 9, 4)}
        return (
            Conv2d(name=name, source=source, weight=weight, weight_bits=4, padding=1),
            IF(name=f"{name}_if", source=name, **levels),
        )

    network = Network(
        (
            Input(name="input", shape=(1, 5, 5), high=15),
            *conv("columns", "input", 1),
            *conv("ring", "columns_if", 4),
            *conv("skipping", "ring_if", 4),
            Flatten(name="flat", source="skipping_if"),
            Linear(name="fc", source="flat", weight=rng.integers(-7, 8, (5, 100)), weight_bits=4),
            Readout(name="out", source="fc", bias=rng.integers(-5, 6, 5)),
        ),
        steps=2,
    )
    folds = {
        "columns": Fold(2, 3, 1),
        "ring": Fold(2, 4, 2),
        "skipping": Fold(4, 2, 2, skip=True),
        "fc": Fold(1, 1, 1),
    }
    return Design(network, folds)


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all simulator programs, so that their library is compiled once."""
    return tmp_path_factory.mktemp("builds")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asic")
    emit.write(small(), folder, target="asic")
    return folder


def pixels(count: int) -> np.ndarray:
    rng = np.random.default_rng(2)
    return rng.integers(0, 16, (count, 1, 5, 5)) * (rng.random((count, 1, 5, 5)) < 0.5)


def rewritten(folder: Path, change) -> dict:
    """The contents of ``design.json`` after a change of the Verilog."""
    _, contents = emit.read(folder)
    path = folder / contents["verilog"]
    path.write_text(change(path.read_text()))
    contents["verilog_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return contents


def lint(verilog: Path, top: str) -> None:
    """Verilator with all warnings but those of WAIVED; raises SimulationError where there is one."""
    root = verilator_root()
    options = ["--lint-only", "-Wall", *(f"-Wno-{name}" for name in WAIVED), "--top-module", top]
    environment = {"VERILATOR_ROOT": str(root)}
    run_program([root / "bin" / "verilator_bin", *options, verilog], "Verilator", environment=environment)


@pytest.mark.xdist_group("asic")
@pytest.mark.parametrize("number", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_same_words_and_cycles_from_any_contents(folder: Path, builds: Path, number: int) -> None:
    design, contents = emit.read(folder)
    outcome = verify(design, contents, folder, pixels(30), pauses=0.3, seed=number, resets=((150, 2),), work=builds)
    assert outcome.passed, [str(d) for d in outcome.differences]
    assert outcome.transfers > 3000


@pytest.mark.slow
@pytest.mark.xdist_group("asic")
def test_contents_matter_without_the_masks(tmp_path: Path, builds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "masked", lambda _self, word, _outside, _walk: word)
    emit.write(small(), tmp_path, target="asic")
    outcome = verify(*emit.read(tmp_path), tmp_path, pixels(5), work=builds)
    assert not outcome.passed and outcome.differences[0].boundary == "columns"


def test_the_rules_of_its_verilog(folder: Path) -> None:
    text = (folder / "spikeloom_top.v").read_text()
    assert "initial" not in text and not re.search(r"^ *(output )?reg [^;]*=", text, re.MULTILINE)
    assert set(re.findall(r"@ ?\(([^)]*)\)", text)) == {"posedge clk"}
    assert "negedge" not in text and "inout" not in text
    fpga = emit.verilog(small())
    assert "initial" in fpga and "_ram" not in fpga
    lint(folder / "spikeloom_top.v", emit.read(folder)[1]["top"])


@pytest.mark.parametrize("padding", [(1, 0, 0, 1), (0, 0, 1, 0), (0, 1, 0, 0)])
def test_padding_on_one_side_compares_nothing_in_vain(padding: tuple[int, ...], tmp_path: Path) -> None:
    """No comparison that never holds, in a ring and in whole kernel columns; with a pad, too."""
    rng = np.random.default_rng(5)
    for k, fold in enumerate((Fold(2, 1, 1), Fold(2, 4, 1))):
        conv = Conv2d(name="conv", source="in", weight=rng.integers(-7, 8, (2, 2, 2, 2)), weight_bits=4,
                      padding=padding, pad=[3, 9])  # fmt: skip
        c, h, w = conv.signal([Signal("values", (2, 4, 7), False, 0, 15)], 1).shape
        network = Network(
            (
                Input(name="in", shape=(2, 4, 7), high=15),
                conv,
                IF(name="if", source="conv", threshold=[40, 50], bias=[0, 1], v0=[3, 4]),
                Flatten(name="flat", source="if"),
                Linear(name="fc", source="flat", weight=rng.integers(-7, 8, (3, c * h * w)), weight_bits=4),
                Readout(name="out", source="fc", bias=[0, 1, 2]),
            ),
            steps=2,
        )
        contents = emit.write(Design(network, {"conv": fold, "fc": Fold(1, 1, 1)}), tmp_path / f"{k}", target="asic")
        lint(tmp_path / f"{k}" / contents["verilog"], contents["top"])


@pytest.mark.slow
@pytest.mark.xdist_group("asic")
def test_macros_in_place_of_memories(folder: Path, builds: Path, tmp_path: Path) -> None:
    """Own modules for the ROMs, which read the .hex files, and for the RAMs, by the interfaces of docs/asic.md."""
    design, contents = emit.read(folder)
    roms = [memory for memory in contents["memories"] if memory["kind"] == "rom"]
    assert roms
    emit.write(design, tmp_path, target="asic")
    macros = "".join(
        f"""module {rom["module"]} (input clk, input [{(rom["depth"] - 1).bit_length() - 1}:0] addr,
                                    output reg [{rom["width"] - 1}:0] data);
  reg [{rom["width"] - 1}:0] words [0:{rom["depth"] - 1}];
  initial $readmemh("{tmp_path / rom["module"]}.hex", words);
  always @(posedge clk) data <= words[addr];
endmodule
"""
        for rom in roms
    )
    (ram,) = {memory["module"] for memory in contents["memories"] if memory["kind"] == "ram"}
    macros += f"module {ram}"
    macros += """ #(parameter DEPTH = 1, WIDTH = 1, ADDRESS = 1)
    (input clk, we, re, input [ADDRESS-1:0] waddr, raddr, input [WIDTH-1:0] wdata, output [WIDTH-1:0] rdata);
  reg [WIDTH-1:0] words [0:2**ADDRESS-1];
  reg [ADDRESS-1:0] address;
  assign rdata = words[address];
  always @(posedge clk) begin
    if (re) address <= raddr;
    if (we) words[waddr] <= wdata;
  end
endmodule
"""
    contents = rewritten(tmp_path, lambda text: f"`define SPIKELOOM_MACROS\n{text}{macros}")
    # The models of the macros have initial values, which a design for an ASIC has not.
    outcome = verify(design, contents, tmp_path, pixels(5), pauses=0.2, work=builds, allow_edited=True)
    assert outcome.passed, [str(d) for d in outcome.differences]


def test_area(folder: Path, tmp_path: Path) -> None:
    _, contents = emit.read(folder)
    figures = asic_area.synthesise(folder, contents)
    bits = dict.fromkeys(("ram", "rom", "register file"), 0)
    for memory in contents["memories"]:
        bits[memory["kind"]] += memory["depth"] * memory["width"] * memory["instances"]
    assert figures["ram_bits"] == bits["ram"] > 100 and figures["rom_bits"] == bits["rom"] > 1000
    assert figures["register_file_bits"] == bits["register file"]
    assert figures["transistors"] > 16 * figures["flip_flops"] > 0 and figures["gates"] > 500
    assert 0 < figures["rom_transistors"] < 40 * figures["rom_gates"]
    contents.pop("target")
    with pytest.raises(YosysError, match="generate --target asic"):
        asic_area.synthesise(folder, contents)


def check(design: Design, data: st.DataObject, folder: Path, builds: Path) -> None:
    """A random design in a random environment, with two fillings of its registers and memories."""
    run = data.draw(runs(design))
    contents = emit.write(design, folder, target="asic")
    lint(folder / contents["verilog"], contents["top"])
    words = golden_words(design, golden.run(design.network, run.frames).outputs)
    expected = predict(design, run.stimulus, words)
    model = VerilatorModel.build(folder / contents["verilog"], DesignPorts.from_json(contents), builds, optimize="-O0")
    for number in range(2):
        got = model.run(run.stimulus, folder / "run", seed=number)
        differences = compare(expected, got, boundary_infos(design), run.stimulus.resets)
        assert not differences, "\n".join(map(str, differences))


@pytest.mark.slow
@pytest.mark.parametrize("cases", [25])
def test_random_designs(cases: int, tmp_path: Path, builds: Path) -> None:
    @seed(cases)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(designs(), st.data())
    def run(design: Design, data: st.DataObject) -> None:
        check(design, data, tmp_path, builds)

    run()


@pytest.mark.slow
def test_digits(tmp_path: Path) -> None:
    network = api.load(ROOT / "models" / "digits-t4w4.safetensors")
    design, _ = designed(network, read_folds(ROOT / "examples" / "digits_fold.toml"), None, None, True, None)
    contents = emit.write(design, tmp_path, target="asic")
    lint(tmp_path / contents["verilog"], contents["top"])
    for number in range(3):
        images = api.frames(network, "digits", 100).pixels
        outcome = verify(design, contents, tmp_path, images, pauses=0.2 * number, seed=number, resets=((900, 3),))
        assert outcome.passed, [str(d) for d in outcome.differences]
        assert np.mean(outcome.answers[-90:] == outcome.classes[-90:]) == 1


def test_equal_tables_share_a_module() -> None:
    library = Library("asic")
    for words in ([1, 2, 3], [1, 2, 3], [1, 2, 4]):
        library.table(words, 3, True, {}, {})
    assert [memory.module for memory in library.memories] == ["spikeloom_rom_0", "spikeloom_rom_0", "spikeloom_rom_1"]
    assert library.text.count("endmodule") == 2
    assert json.dumps(library.memories[0].words) == "[1, 2, 3]"
