import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from typer.testing import CliRunner

from spikeloom.cli import app
from spikeloom.gen.design import Design
from spikeloom.gen.emit.writer import write
from spikeloom.gen.folding.find import auto
from spikeloom.quant.ir import netfile
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Conv2d, Flatten, Input, Linear, Readout

CLI = "import sys; from spikeloom.cli import main; sys.argv[0] = 'spikeloom'; main()"


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """All of stdout as JSON."""
        return json.loads(self.out)

    def refused(self, *words: str, status: int = 1) -> None:
        """Assert that the command ended with one clear line that holds ``words``."""
        assert self.status == status, f"status {self.status}: {self.out}{self.err}"
        assert "Traceback" not in self.out + self.err, self.err
        assert self.err.startswith("error: ") and len(self.err.splitlines()) <= 2, self.err
        assert not [word for word in words if word not in self.err], self.err


Cli = Callable[..., Ran]


@pytest.fixture(scope="session")
def cli() -> Cli:
    """Run a command in this process, which has torch already; an exception that gets out shows as a traceback."""

    def run(*arguments: object, **environment: str) -> Ran:
        done = CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "120", **environment})
        escaped = done.exception is not None and not isinstance(done.exception, SystemExit)
        trace = "".join(traceback.format_exception(done.exception)) if escaped else ""
        return Ran(done.exit_code, done.stdout, done.stderr + trace)

    return run


@pytest.fixture(scope="session")
def process() -> Cli:
    """Run a command in a process of its own, so that imports, streams and exit status are the real ones."""

    def run(*arguments: object, **environment: str) -> Ran:
        done = subprocess.run(
            [sys.executable, "-c", CLI, *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": "120", **environment},
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def network() -> Network:
    """A network for the digits that simulates in an instant: T = 2, a convolution of stride 4 and 10 classes."""
    rng = np.random.default_rng(1)
    return Network(
        steps=2,
        meta={"origin": "test"},
        nodes=(
            Input(name="input", shape=(1, 8, 8), high=15),
            Conv2d(name="conv", source="input", weight=rng.integers(-3, 4, (2, 1, 4, 4)), weight_bits=3, stride=4),
            IF(name="fire", source="conv", threshold=[40, 30], bias=[3, -2], v0=[20, 15]),
            Flatten(name="flatten", source="fire"),
            Linear(name="classes", source="flatten", weight=rng.integers(-4, 4, (10, 8)), weight_bits=3),
            Readout(name="readout", source="classes", bias=np.arange(10) - 5),
        ),
    )


@pytest.fixture(scope="session")
def network_file(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "tiny.safetensors"
    netfile.save(network, path)
    return path


@pytest.fixture(scope="session")
def design(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated design; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("design") / "tiny"
    write(Design(network, auto(network)), folder)
    return folder


@pytest.fixture
def altered(network_file: Path, tmp_path: Path) -> Callable[..., Path]:
    """Make a copy of the network file in which some tensors are others."""

    def make(**tensors: np.ndarray) -> Path:
        with safe_open(network_file, framework="numpy") as file:
            header = file.metadata()
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        changed = {name.replace("__", "/"): array for name, array in tensors.items()}
        assert set(changed) <= set(arrays)
        save_file(arrays | changed, tmp_path / "altered.safetensors", metadata=header)
        return tmp_path / "altered.safetensors"

    return make
