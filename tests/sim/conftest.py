"""The test design, emitted and built once for all tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sim_pipeline import PORTS, Pipeline, emit

from spikeloom.hdl.cache import cache_folder
from spikeloom.sim.simulators.verilator import VerilatorModel


@pytest.fixture(scope="session")
def cache() -> Path:
    """Return the folder of built programs, which commands of the tests use too."""
    missing = [name for name in ("g++", "make", "perl") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)} on this machine")
    return cache_folder()


@pytest.fixture
def own_cache(cache: Path, tmp_path: Path) -> Path:
    """A folder of built programs that has Verilator's library and no design."""
    folder = tmp_path / "own cache"
    folder.mkdir()
    for library in cache.glob("runtime-*"):
        shutil.copytree(library, folder / library.name)
    return folder


@pytest.fixture(scope="session")
def verilog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return emit(Pipeline(), tmp_path_factory.mktemp("pipeline"))


@pytest.fixture(scope="session")
def built(verilog: Path, cache: Path) -> VerilatorModel:
    return VerilatorModel.build(verilog, PORTS, cache)


@pytest.fixture(scope="session")
def cocotb_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cocotb")
