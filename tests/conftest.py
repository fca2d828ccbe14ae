"""Options and fixtures of all tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from spikeloom.quant.data import Dataset, load
from spikeloom.quant.files.folders import data_folder

# What tests build is built once for a run and the next ones, and is not mixed with what users build.
os.environ.setdefault("SPIKELOOM_CACHE", str(Path(__file__).resolve().parents[1] / "build" / "test-cache"))

# Several tests run at once: threads of PyTorch that wait for each other would take the processors from them.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cases", type=int, default=16, help="random designs of the hypothesis suite")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder in SPIKELOOM_DATA: ``mnist/``, ``fashion/``, ``cifar10/`` (the binary version), ``weights/``.

    Nothing of it is part of the project.
    """
    folder = Path(os.environ.get("SPIKELOOM_DATA", ""))
    if not os.environ.get("SPIKELOOM_DATA") or not folder.is_dir():
        pytest.skip("no real data: SPIKELOOM_DATA names no folder of data sets and trained weights")
    return folder


@pytest.fixture(scope="session")
def real(data_dir: Path) -> Callable[[str], Dataset]:
    """Load a data set of that folder, or skip where it is not there."""

    def load_or_skip(kind: str) -> Dataset:
        folder = data_folder(kind)
        if folder is None or not any(folder.glob("*ubyte*" if kind != "cifar10" else "test_batch.bin")):
            pytest.skip(f"no {kind} in the folder that SPIKELOOM_DATA names")
        return load(kind)

    return load_or_skip
