"""Options and fixtures of all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Several tests run at once: threads of PyTorch that wait for each other would take the processors from them.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cases", type=int, default=60, help="random designs of the hypothesis suite")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets and weights: ``mnist/``, ``fashion/``, ``cifar10/``, ``weights/``.

    Nothing of it is part of the project: it is the folder in SPIKELOOM_DATA, or ``shared/data`` beside the project.
    """
    folder = Path(os.environ.get("SPIKELOOM_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder.name} is absent; SPIKELOOM_DATA names another folder")
    return folder
