"""The checker is checked: every single fault in the Verilog of a design is reported, at the boundary where it sits."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from faults import FAULTS, instrumented

from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.fold import Fold
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Conv2d, Flatten, Input, Linear, MaxPool, Readout
from spikeloom.sim.verify import verify


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A design with all faults in its Verilog; ``design.json`` knows nothing of them."""
    rng = np.random.default_rng(1)
    network = Network(
        (
            Input(name="input", shape=(1, 6, 6), high=15),
            Conv2d(name="conv1", source="input", weight=rng.integers(-7, 8, (4, 1, 3, 3)), weight_bits=4, padding=1),
            IF(
                name="if1",
                source="conv1",
                threshold=rng.integers(30, 60, 4),
                bias=rng.integers(-5, 6, 4),
                v0=rng.integers(5, 20, 4),
            ),
            MaxPool(name="pool", source="if1", kernel=2, stride=2),
            Flatten(name="flat", source="pool"),
            Linear(name="fc", source="flat", weight=rng.integers(-7, 8, (5, 36)), weight_bits=4),
            Readout(name="out", source="fc", bias=rng.integers(-5, 6, 5)),
        ),
        steps=4,
    )
    folder = tmp_path_factory.mktemp("design")
    folds = {"conv1": Fold(2, 1, 1), "pool": Fold(2, 2, 1), "fc": Fold(5, 1, 1)}
    contents = emit.write(Design(network, folds, counts=False), folder)  # faults of single spikes
    path = folder / contents["verilog"]
    path.write_text(instrumented(path.read_text()))
    contents["verilog_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "design.json").write_text(json.dumps(contents))
    return folder


@pytest.mark.xdist_group("faults")
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_reported(folder: Path, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    number, boundary = FAULTS[fault]
    Path("fault.txt").write_text(number)
    design, contents = emit.read(folder)
    frames = np.random.default_rng(2).integers(0, 16, (40, 1, 6, 6))
    outcome = verify(design, contents, folder, frames, pauses=0.4, resets=((300, 2),))
    assert outcome.transfers > 2000
    if fault == "none":
        assert outcome.passed, [str(d) for d in outcome.differences]
    else:
        assert not outcome.passed
        assert outcome.differences[0].boundary in boundary.split(), [str(d) for d in outcome.differences]


@pytest.mark.xdist_group("faults")
def test_a_waveform_shows_the_cycles_around_the_difference(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    Path("fault.txt").write_text(FAULTS["a word late by one cycle"][0])
    design, contents = emit.read(folder)
    frames = np.random.default_rng(2).integers(0, 16, (40, 1, 6, 6))
    told: list[tuple[str, float, int]] = []
    outcome = verify(
        design, contents, folder, frames, waves=folder / "late.vcd", progress=lambda *call: told.append(call)
    )
    assert told[0] == ("building the simulator", 0, 0) and told[-1] == ("waveform", 0, 0)
    assert outcome.waves == folder / "late.vcd"
    text = (folder / "late.vcd").read_text()
    assert "b3__valid" in text and "scope module pool " in text
    cycle = outcome.differences[0].cycle
    stamps = [int(line[1:]) for line in text.splitlines() if line.startswith("#")]
    assert 60 <= len(stamps) / 2 <= 80, f"{len(stamps)} time stamps for the cycles around {cycle}"


@pytest.mark.xdist_group("faults")
@pytest.mark.parametrize(("fault", "status"), [
    ("a dropped spike", 1),
    *(pytest.param(*p, marks=pytest.mark.slow) for p in (("none", 0), ("a valid that drops", 1))),
])  # fmt: skip
def test_the_command_line_reports_it(folder: Path, fault: str, status: int) -> None:
    (folder / "fault.txt").write_text(FAULTS[fault][0])
    np.savez(folder / "frames.npz", frames=np.random.default_rng(2).integers(0, 16, (40, 1, 6, 6)))
    command = [
        sys.executable,
        "-c",
        "from spikeloom.cli import main; main()",
        "verify",
        ".",
        "--data",
        "frames.npz",
        "-n",
        "40",
        "--pauses",
        "0.4",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    if status:
        boundary = FAULTS[fault][1]
        assert f", {boundary}, cycle " in done.stderr and done.stderr.startswith("error: ")
        assert f"Transfers on {boundary}" in done.stdout and "Traceback" not in done.stderr
        headline = done.stderr.partition("its prediction: ")[2][:60]
        assert headline and (done.stdout + done.stderr).count(headline) == 1, "what differs is said once"
    else:
        assert "equal in every cycle: 40 frames" in done.stdout
