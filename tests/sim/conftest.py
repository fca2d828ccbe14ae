"""The test design, emitted and built once for all tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from sim_pipeline import PORTS, Pipeline, emit

from spikeloom.sim.simulators.verilator import VerilatorModel


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of built programs, shared by all workers of a run."""
    missing = [name for name in ("g++", "make", "perl") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)} on this machine")
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "sim-cache"


@pytest.fixture(scope="session")
def verilog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return emit(Pipeline(), tmp_path_factory.mktemp("pipeline"))


@pytest.fixture(scope="session")
def built(verilog: Path, cache: Path) -> VerilatorModel:
    return VerilatorModel.build(verilog, PORTS, cache)


@pytest.fixture(scope="session")
def cocotb_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cocotb")
