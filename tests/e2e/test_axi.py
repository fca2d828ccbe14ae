"""The AXI core in Verilator, driven by bus models that are not ours: registers, frames, faults."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import axi_run
import numpy as np
import pytest
from frame_bench import Packet, expected, packets_of, perceptron

from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.find import designed
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.tops import axi
from spikeloom.gen.tops import axi_registers as registers
from spikeloom.gen.tops.accelerator import FrameResult, parse_result
from spikeloom.hdl.host.frames import CUT_WORD
from spikeloom.quant.data import digits
from spikeloom.quant.ir.netfile import load, save
from spikeloom.sim.simulators.toolchain import verilator_root

pytestmark = pytest.mark.xdist_group("axi")

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "axi.md"

STYLE = ("DECLFILENAME", "PROCASSINIT", "UNUSEDSIGNAL", "UNUSEDPARAM", "WIDTHEXPAND", "WIDTHTRUNC", "CASEOVERLAP",
         "CMPCONST")
"""What Yosys's way of writing Verilog brings along: initial values, unused wires, operands that extend themselves."""


@dataclass(frozen=True)
class Core:
    """A design, its ``design.json`` and the folder of the built core."""

    design: Design
    contents: dict[str, Any]
    built: Path

    def config(self, cases: int = 0, frames: tuple[Packet, ...] = (), seed: int = 1) -> dict[str, Any]:
        """What the bench reads."""
        about = self.contents["axi"]
        digits, maps = about["network_hash"], about.get("maps", [])
        values = {
            "identity": 0x4C4F4F4D,
            "version": 0x10001 if maps else 0x10000,
            "hash_low": int(digits[8:], 16),
            "hash_high": int(digits[:8], 16),
            **dict.fromkeys(("control", "status", "frames", "errors", "stalls_in", "stalls_out"), 0),
            **{name: about[name] for name in ("frame_bytes", "result_words", "beat_bytes", "pixel_high")},
            **({"maps": len(maps), "stalls_maps": 0} if maps else {}),
            **{f"words_{each['name']}": each["words_per_frame"] for each in maps},
            **{f"bytes_{each['name']}": each["word_bytes"] for each in maps},
        }
        addresses = {name: register["address"] for name, register in about["registers"].items()}
        return {
            **{name: about[name] for name in ("frame_bytes", "result_words", "beat_bytes", "pixel_high")},
            "maps": maps,
            "registers": addresses,
            "values": values,
            "cut": CUT_WORD,
            "seed": seed,
            "cases": cases,
            "frames": [packet.data.hex() for packet in frames],
        }


def built(design: Design, folder: Path, lanes: int | None = None) -> Core:
    missing = [name for name in ("g++", "make", "perl") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)} on this machine")
    contents = axi.write(axi.AxiTop(design, lanes), folder, emit.write(design, folder))
    about = contents["axi"]
    return Core(design, contents, axi_run.build(folder / about["verilog"], about, folder / "build"))


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Core:
    """12 pixels in beats of 4 bytes, 5 classes, one logit a word."""
    return built(perceptron(Fold(1, 3, 1), high=9, classes=5), tmp_path_factory.mktemp("axi"), 4)


def results(words: list[list[int]]) -> list[FrameResult]:
    return [parse_result(packet) for packet in words]


def test_registers(core: Core, tmp_path: Path) -> None:
    axi_run.run(core.built, tmp_path, "registers", core.config())


def test_frames(core: Core, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 10, (30, *core.design.network.input.shape))
    packets = packets_of(core.design, pixels)
    (*_, run) = axi_run.run(core.built, tmp_path, "frames", core.config(frames=tuple(packets)))
    received = [np.frombuffer(bytes.fromhex(p), "<u4").tolist() for p in run["received"]]
    assert results(received) == expected(core.design, packets)


def test_faults(core: Core, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Every packet has its result, those of the golden model; a reset takes the packets before it and no others."""
    cases = int(request.config.getoption("--cases"))
    runs = axi_run.run(core.built, tmp_path, "faults", core.config(cases=cases))
    for run in runs:
        if len(run["partial"]) // 2 >= core.contents["axi"]["frame_bytes"]:  # too long, so its result need not wait
            run["packets"].append(run["partial"] + "00")
    packets = [Packet(bytes.fromhex(p)) for run in runs for p in run["packets"]]
    want = iter(expected(core.design, packets))
    good = cut = 0
    for number, run in enumerate(runs):
        mine = [next(want) for _ in run["packets"]]
        found = results(run["results"])
        assert found == mine[: len(found)], f"run {number}"
        if run["end"] == "quiet":
            assert len(found) == len(mine) and not run["cut"]
        for words in run["cut"]:
            whole = [mine[len(found)].status << 24 | mine[len(found)].label, *mine[len(found)].logits]
            assert words[:-1] == [w & 0xFFFF_FFFF for w in whole][: len(words) - 1], f"run {number}"
        cut += len(run["cut"])
        good += sum(r.status == 0 for r in found)
    assert good >= 2 * cases and cut > cases // 60


@pytest.mark.slow
def test_digits(tmp_path: Path) -> None:
    """The digits network that the project keeps, 100 test images, as its own bytes choose the beats."""
    network = load(ROOT / "models" / "digits-t4w4.safetensors")
    design, _ = designed(network, {}, 2000, None, True, None)
    core = built(design, tmp_path)
    packets = packets_of(design, digits().with_bits(4).test_x[:100])
    (*_, run) = axi_run.run(core.built, tmp_path / "run", "frames", core.config(frames=tuple(packets)))
    received = [np.frombuffer(bytes.fromhex(p), "<u4").tolist() for p in run["received"]]
    assert results(received) == expected(design, packets)


def test_lint_finds_nothing_but_the_style_of_written_verilog(core: Core, tmp_path: Path) -> None:
    """The core inside the example of its documentation, by Verilator -Wall."""
    (example,) = re.findall(r"```verilog\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    ports: dict[str, int] = core.contents["axi"]["ports"]
    named = re.findall(r"\.(\w+)\((\w+)\)", example)
    assert sorted(port for port, _ in named) == sorted(ports)
    wires = ", ".join(
        f"{'output' if _drives(port) else 'input'} [{ports[port] - 1}:0] {wire}" for port, wire in named
    )
    example = example.replace("digits_axi ", f"{core.contents['axi']['top']} ")
    (tmp_path / "board.v").write_text(f"module board({wires});\n{example}endmodule\n")
    verilator = verilator_root()
    done = subprocess.run(
        [
            verilator / "bin" / "verilator_bin",
            *("--lint-only", "-Wall", "--top-module", "board", *(f"-Wno-{rule}" for rule in STYLE)),
            tmp_path / "board.v",
            core.built.parent / core.contents["axi"]["verilog"],
        ],
        env=os.environ | {"VERILATOR_ROOT": str(verilator)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def _drives(port: str) -> bool:
    found = re.fullmatch(r"([sm]_axis_t|s_axil_(?:aw|ar|w|b|r))([a-z]+)", port)
    return bool(found) and (found[1] in ("m_axis_t", "s_axil_b", "s_axil_r")) != (found[2] == "ready")


def test_the_document_has_the_registers_of_the_code() -> None:
    assert f"<!-- registers -->\n{registers.register_table()}\n<!-- end -->" in DOCUMENT.read_text()
    assert f"<!-- map registers -->\n{registers.map_register_table()}\n<!-- end -->" in DOCUMENT.read_text()
    for found in (registers.REGISTERS, registers.registers_of(["a", "b"])):
        assert [r.address for r in found] == list(range(0, 4 * len(found), 4))


def test_generate_writes_the_core(tmp_path: Path) -> None:
    design = perceptron(Fold(2, 3, 1))
    save(design.network, tmp_path / "net.safetensors")
    folder = tmp_path / "d"
    command = [sys.executable, "-m", "spikeloom", "generate", tmp_path / "net.safetensors", "-o", folder]
    command += ["--cycles", "40", "--json"]
    done = subprocess.run([*command, "--axi"], capture_output=True, text=True, check=True)
    about = json.loads(done.stdout)["axi"]
    assert about == json.loads((folder / "design.json").read_text())["axi"]
    text = (folder / "spikeloom_axi.v").read_bytes()
    assert about["verilog_sha256"] == hashlib.sha256(text).hexdigest()
    assert (about["beat_bytes"], about["frame_bytes"], about["result_words"]) == (4, 12, 7)
    assert about["network_hash"] == design.network.hash[:16]
    again, contents = emit.read(folder)
    axi.write(axi.AxiTop(again), tmp_path, contents)
    assert (tmp_path / "spikeloom_axi.v").read_bytes() == text
    done = subprocess.run([*command, "--axi", "--axi-bytes", "5"], capture_output=True, text=True, check=False)
    assert done.returncode and "must divide the 12 bytes of a frame, 5 do not" in done.stderr
    subprocess.run(command, capture_output=True, check=True)
    assert not (folder / "spikeloom_axi.v").exists() and "axi" not in json.loads((folder / "design.json").read_text())


@pytest.mark.parametrize(
    ("fold", "inputs", "bytes_"), [(Fold(6, 1, 1), 12, 4), (Fold(6, 16, 1), 16, 16), (Fold(6, 7, 1), 7, 7)]
)
def test_bytes_of_a_beat_keep_up_with_the_design(fold: Fold, inputs: int, bytes_: int) -> None:
    assert axi.beat_bytes(perceptron(fold, inputs=inputs)) == bytes_
