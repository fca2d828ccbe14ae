"""The AXI core in Verilator, driven by bus models that are not ours: registers, frames, faults."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import axi_run
import numpy as np
import pytest
from frame_bench import Packet, expected, packets_of, perceptron

from spikeloom.gen import axi, emit
from spikeloom.gen.accelerator import Result, parse_result
from spikeloom.gen.design import Design
from spikeloom.gen.plan import Fold
from spikeloom.hdl.frames import CUT_WORD

pytestmark = pytest.mark.xdist_group("axi")


@dataclass(frozen=True)
class Core:
    """A design, its ``design.json`` and the folder of the built core."""

    design: Design
    contents: dict[str, Any]
    built: Path

    def config(self, cases: int = 0, frames: tuple[Packet, ...] = (), seed: int = 1) -> dict[str, Any]:
        """What the bench reads."""
        about = self.contents["axi"]
        digits = about["network_hash"]
        values = {
            "identity": axi.IDENTITY,
            "version": axi.VERSION,
            "hash_low": int(digits[8:], 16),
            "hash_high": int(digits[:8], 16),
            **dict.fromkeys(("control", "status", "frames", "errors", "stalls_in", "stalls_out"), 0),
            **{name: about[name] for name in ("frame_bytes", "result_words", "beat_bytes", "pixel_high")},
        }
        addresses = {name: register["address"] for name, register in about["registers"].items()}
        return {
            **{name: about[name] for name in ("frame_bytes", "result_words", "beat_bytes", "pixel_high")},
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
    ports = contents["axi"]["ports"]
    return Core(design, contents, axi_run.build(folder / contents["axi"]["verilog"], ports, folder / "build"))


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Core:
    """12 pixels in beats of 4 bytes, 5 classes, one logit a word."""
    return built(perceptron(Fold(1, 3, 1), high=9, classes=5), tmp_path_factory.mktemp("axi"), 4)


def results(words: list[list[int]]) -> list[Result]:
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
    cases = request.config.getoption("--cases")
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
