"""What integrators get: benches that pass in any simulator and notice what is wrong, and files that agree."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small
import yaml

from spikeloom import api
from spikeloom.gen.emit.writer import read
from spikeloom.gen.errors import PlanError
from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import Conv2d, Flatten, Input, Linear, Readout
from spikeloom.sim.simulators.cocotb_run import build_environment, environment
from spikeloom.sim.simulators.toolchain import find_program


def two_outputs() -> Network:
    """A convolution with one read-out of a single word, and one behind it of several."""
    rng = np.random.default_rng(3)
    return Network(
        (
            Input(name="in", shape=(2, 3, 3), high=7),
            Conv2d(name="c", source="in", weight=rng.integers(-3, 4, (3, 2, 3, 3)), weight_bits=3),
            Readout(name="early", source="c", bias=np.array([0, 5, 0])),
            Flatten(name="f", source="in"),
            Linear(name="l", source="f", weight=rng.integers(-3, 4, (4, 18)), weight_bits=3),
            Readout(name="out", source="l", bias=rng.integers(-9, 9, 4)),
        ),
        1,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A design with two outputs."""
    folder = tmp_path_factory.mktemp("integrate") / "design"
    api.generate(two_outputs(), folder, name="twin", cycles=60, clock=125.0)
    return folder


def simulated(folder: Path, build: Path) -> str:
    """What the bench in ``folder`` prints, in Icarus where it is there (it compiles at once), else in Verilator."""
    contents = json.loads((folder / "design.json").read_text())
    verilog, bench, top = folder / contents["verilog"], folder / contents["files"]["bench"], f"{contents['top']}_tb"
    build.mkdir(exist_ok=True)
    if shutil.which("iverilog"):
        subprocess.run(["iverilog", "-g2005", "-Wall", "-o", build / "tb.vvp", verilog, bench], check=True)
        done = subprocess.run(["vvp", "-n", build / "tb.vvp"], cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout
    return verilated(folder, verilog, bench, top, build)


def verilated(folder: Path, verilog: Path, bench: Path, top: str, build: Path) -> str:
    options = ["--binary", "--timing", "-CFLAGS", "-fcoroutines -O0", "-Wno-fatal", "--Mdir", build]
    with environment(**build_environment("verilator", None)):
        program = find_program("verilator", "the bench")
        subprocess.run([program, *options, "--top-module", top, verilog, bench], check=True, capture_output=True)
    done = subprocess.run([build / f"V{top}"], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def verdict(printed: str) -> str:
    return [line for line in printed.splitlines() if line.startswith(("PASS", "FAIL"))][-1]


def test_the_bench_passes_in_verilator(made: Path, tmp_path: Path) -> None:
    printed = verilated(made, made / "twin.v", made / "twin_tb.v", "twin_tb", tmp_path)
    assert re.fullmatch(r"PASS: \d+ words in \d+ cycles", verdict(printed)), printed


def broken(made: Path, tmp_path: Path, file: str, old: str, new: str) -> str:
    """What the bench says where ``old`` in ``file`` is ``new``."""
    folder = tmp_path / "design"
    shutil.copytree(made, folder)
    text = (folder / file).read_text()
    changed = re.sub(old, new, text, count=1, flags=re.MULTILINE)
    assert changed != text, f"{old} is not in {file}"
    (folder / file).write_text(changed)
    return verdict(simulated(folder, tmp_path / "build"))


def test_the_bench_passes_in_another_simulator_too(made: Path, tmp_path: Path) -> None:
    if not shutil.which("iverilog"):
        pytest.skip("Icarus Verilog is not on this machine")
    assert verdict(simulated(made, tmp_path)).startswith("PASS")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        pytest.param("twin.v", r"^  assign o__last = (.*);", r"  assign o__last = ~(\1);", id="last"),
        pytest.param("twin.v", r"(\$signed\(\w+\)) \+ (?=\$signed)", r"\1 - ", id="a sum"),
        pytest.param("twin_tb_o__cycles.hex", r"\w$", "0", id="cycle"),
        pytest.param("twin_tb_o.hex", r"\A\w+\n", "", id="a word more than expected"),
        pytest.param("twin.v", r"^    \.o__valid\(o__valid\)", r"    .o__valid()", id="no word at all"),
    ],
)
def test_the_bench_notices(made: Path, tmp_path: Path, file: str, old: str, new: str) -> None:
    if not shutil.which("iverilog") and file == "twin.v" and "last" not in old:
        pytest.skip("one build in Verilator is enough where Icarus is not on this machine")
    assert broken(made, tmp_path, file, old, new).startswith("FAIL")


def test_what_the_bench_expects_is_the_network(made: Path) -> None:
    design, contents = read(made)
    frames = np.random.default_rng(0).integers(0, 8, (2, 2, 3, 3))
    result = golden.run(design.network, frames)
    for port, name in (("o_early", "early"), ("o", "out")):
        fields = contents["layout"][port]["fields"]
        per_frame = contents["layout"][port]["words_per_frame"]
        lines = (made / contents["files"][f"vectors_{port}"]).read_text().split()
        assert len(lines) == 2 * per_frame
        logits, best = [], []
        for word in (int(line, 16) for line in lines):
            for field in fields:
                value = word >> field["low"] & (1 << field["width"]) - 1
                if field["signed"] and value >> field["width"] - 1:
                    value -= 1 << field["width"]
                (best if field["name"] == "best" else logits).append(value)
        assert np.array_equal(np.reshape(logits, (2, -1)), result[name])
        assert best[per_frame - 1 :: per_frame] == result[name].argmax(1).tolist()
    pixels = [int(line, 16) for line in (made / contents["files"]["vectors_i"]).read_text().split()]
    fields = contents["layout"]["i"]["fields"]
    found = [pixel >> f["low"] & (1 << f["width"]) - 1 for pixel in pixels for f in fields]
    assert found == frames.transpose(0, 2, 3, 1).reshape(-1).tolist()


def test_layouts_fill_their_words_and_the_header_explains_every_port(made: Path) -> None:
    _, contents = read(made)
    text = (made / "twin.v").read_text()
    head = text[: text.index("\nmodule ")]
    for port, about in contents["layout"].items():
        at = 0
        for field in about["fields"]:
            assert field["low"] == at
            at += field["width"]
        assert at == contents["ports"][f"{port}__payload"]
    for port in contents["ports"]:
        assert re.search(rf"^// (input |output) {port} ", head, re.MULTILINE), port
    first = re.search(r"^module twin\((.*?)\);", text, re.MULTILINE | re.DOTALL)
    assert first is not None and set(re.findall(r"\w+", first[1])) == set(contents["ports"])


def test_the_instance_and_the_lists_agree_with_the_design(made: Path, tmp_path: Path) -> None:
    _, contents = read(made)
    files = contents["files"]
    assert all((made / file).is_file() for file in files.values())
    with environment(**build_environment("verilator", None)):
        program = find_program("verilator", "the lint")
        lint = [program, "--lint-only", "-Wall", "-Wno-DECLFILENAME", "-Wno-UNUSEDSIGNAL", "-Wno-UNDRIVEN"]
        command = [*lint, "--top-module", "twin_inst", made / contents["waiver"], made / "twin.v", made / "twin_inst.v"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    sources = [line for line in (made / files["file_list"]).read_text().splitlines() if not line.startswith("//")]
    assert sources == ["twin.v"]
    assert "create_clock -name clk -period 8.0000 [get_ports clk]" in (made / files["xdc"]).read_text()
    assert 'FREQUENCY PORT "clk" 125.0000 MHZ;' in (made / files["lpf"]).read_text()


def test_the_core_file_names_what_is_there(made: Path) -> None:
    text = (made / "twin.core").read_text()
    assert text.startswith("CAPI=2:\n")
    core = yaml.safe_load(text.partition("\n")[2])
    named = set()
    for fileset in core["filesets"].values():
        for entry in fileset["files"]:
            named.add(entry if isinstance(entry, str) else next(iter(entry)))
    assert {"twin.v", "twin.vlt", "twin_tb.v", "twin_tb_i.hex", "twin_tb_o__cycles.hex"} <= named
    assert all((made / name).is_file() for name in named)
    for target in core["targets"].values():
        for name in target["filesets"]:
            assert re.sub(r".*\((\w+)\)$", r"\1", name) in core["filesets"]
    assert core["targets"]["sim"]["toplevel"] == "twin_tb"


def test_the_cocotb_bench_runs_by_itself(made: Path, tmp_path: Path) -> None:
    """As a user runs it: a process that knows nothing of this package."""
    folder = tmp_path / "design"
    shutil.copytree(made, folder)
    simulator = "icarus" if shutil.which("iverilog") else "verilator"
    bare = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def run() -> int:
        variables = build_environment("verilator", None) if simulator == "verilator" else {}
        given = {name: value for name, value in variables.items() if value is not None}
        command = [sys.executable, "-P", folder / "twin_cocotb.py"]
        done = subprocess.run(command, env=bare | given | {"SIM": simulator}, capture_output=True, check=False)
        return done.returncode

    assert run() == 0
    expected = folder / "twin_tb_o.hex"
    expected.write_text(expected.read_text().replace("0", "1"))
    assert run() != 0
    assert "spikeloom" not in (folder / "twin_cocotb.py").read_text().lower()


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_files_that_no_longer_apply_are_removed(tmp_path: Path) -> None:
    network = small.network()
    (tmp_path / "mine.v").touch()
    api.generate(network, tmp_path, name="a", axi=True)
    assert {"a.v", "a.vlt", "a_axi.v", "a_axi.vlt", "a_axi_inst.v"} <= files(tmp_path)
    _, plain = api.generate(network, tmp_path, name="a")
    always = {"design.json", "mine.v", "network.safetensors"}
    assert files(tmp_path) == {"a.v", "a.vlt", *always, *plain["files"].values()}
    rom = {"module": "a_rom", "kind": "rom", "depth": 512, "width": 64, "instances": 1}  # only large designs have one
    (tmp_path / "design.json").write_text(json.dumps(plain | {"memories": [rom]}))
    (tmp_path / "a_rom.hex").touch()
    api.generate(network, tmp_path, name="b")
    others = {file.replace("a", "b", 1) for file in plain["files"].values()}
    assert files(tmp_path) == {"b.v", "b.vlt", *always, *others}


@pytest.mark.parametrize("clock", [0.0, -1.0, 1e300, float("inf"), float("nan")])
def test_a_clock_without_a_period_is_refused(clock: float, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"The clock must be 0\.001 to 10,000 MHz, not "):
        api.generate(small.network(), tmp_path / "design", clock=clock)
    assert not (tmp_path / "design").exists()


def test_an_earlier_design_takes_no_other_file_with_it(tmp_path: Path) -> None:
    """Its ``design.json`` may say anything."""
    folder, network = tmp_path / "design", small.network()
    _, contents = api.generate(network, folder, name="a")
    (tmp_path / "mine").touch()
    (folder / "kept").mkdir()
    said = ("../mine", str(tmp_path / "mine"), "kept", "design.json", "network.safetensors", "", "a\0", "nothing")
    contents["files"] |= dict(zip("stuvwxyz", said, strict=True))
    (folder / "design.json").write_text(json.dumps(contents))
    api.generate(network, folder, name="b")
    assert (tmp_path / "mine").exists() and (folder / "kept").exists() and read(folder)[1]["top"] == "b"


def test_the_axi_core_comes_with_what_its_integrator_needs(tmp_path: Path) -> None:
    _, contents = api.generate(small.network(), tmp_path, name="a", axi=True)
    core = contents["axi"]
    head = (tmp_path / core["verilog"]).read_text().partition("\nmodule ")[0]
    instance = (tmp_path / contents["files"]["axi_instance"]).read_text()
    for port in core["ports"]:
        assert re.search(rf"^// (input |output) {port} ", head, re.MULTILINE), port
        assert f".{port}({port})" in instance
    for name, register in core["registers"].items():
        assert f"0x{register['address']:02x} {name} " in head
    assert "-name aclk -period 10.0000 [get_ports aclk]" in (tmp_path / contents["files"]["axi_xdc"]).read_text()
