"""Folders of any name, and disks without room: every simulator works, or ends with a clear error within seconds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small

from spikeloom.gen.emit import writer as emit
from spikeloom.sim.verify import verify

NAME = """it's a "design" $HOME ü; #1"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paths") / NAME
    emit.write(small.design(), folder)
    return folder


@pytest.mark.parametrize(
    "simulator",
    ["verilator", pytest.param("cocotb", marks=pytest.mark.slow), "cocotb-icarus", "amaranth",
     pytest.param("netlist", marks=pytest.mark.slow)],  # fmt: skip
)
def test_folders_of_any_name(simulator: str, folder: Path, cache: Path, own_cache: Path) -> None:
    if simulator == "cocotb-icarus" and shutil.which("iverilog") is None:
        pytest.skip("no iverilog on this machine")
    design, contents = emit.read(folder)
    options = {"netlist": "ice40"} if simulator == "netlist" else {"simulator": simulator}
    if simulator == "verilator":
        cache = own_cache.rename(folder / "cache of builds")
    outcome = verify(design, contents, folder, small.frames(3), cache=cache, **options)
    assert outcome.passed and len(outcome.answers) == 3
    assert not list((folder / "sim").glob("build*"))


def broken(folder: Path) -> None:
    """Make the Verilog in ``folder`` take every other pixel value for another one."""
    _, contents = emit.read(folder)
    verilog = folder / contents["verilog"]
    text = verilog.read_text()
    assert text.count("assign b0__payload = i__payload;") == 1
    verilog.write_text(text.replace("b0__payload = i__payload;", "b0__payload = i__payload ^ 1;"))


LIMITED = """
import resource, signal, sys
from spikeloom.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop()), resource.RLIM_INFINITY))
main()
"""


@pytest.mark.slow
def test_waveforms_on_a_full_disk(folder: Path, cache: Path, tmp_path: Path) -> None:
    """A file that cannot grow beyond 4 KiB is a disk that is full; the difference is shown, and the error."""
    place = tmp_path / NAME
    shutil.copytree(folder, place, ignore=shutil.ignore_patterns("sim", "cache*"))
    broken(place)
    np.savez(tmp_path / "frames.npz", frames=small.frames(12))
    command = [sys.executable, "-c", LIMITED, "verify", str(place), "--data", str(tmp_path / "frames.npz"), "-n", "12"]
    waves = tmp_path / "a difference.vcd"

    def run(limit: int, *options: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "SPIKELOOM_CACHE": str(cache)}
        return subprocess.run(
            [*command, *options, str(limit)], capture_output=True, text=True, timeout=120, env=environment, check=False
        )

    done = run(-1, "--waves", str(waves))  # builds both programs, and there is no limit
    assert done.returncode == 1 and waves.is_file(), done.stderr
    assert f"gtkwave '{waves}.gtkw'" in done.stdout
    assert waves.stat().st_size > 4096
    waves.unlink()
    done = run(4096, "--waves", str(waves))
    assert done.returncode == 1 and not waves.exists() and not list(tmp_path.glob(".a*"))
    assert "Transfers on i" in done.stdout and "differs from its prediction" in done.stderr
    assert f"{waves}: no waveform was written: " in done.stderr and "File too large" in done.stderr
    # What the simulation itself writes: no traceback, no hang.
    done = run(64)
    assert done.returncode == 1 and "Traceback" not in done.stderr and done.stderr.startswith("error: ")
