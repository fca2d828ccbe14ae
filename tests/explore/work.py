"""Small jobs for the tests: real work, work that fails, work that kills its worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from spikeloom.gen.errors import PlanError


def square(x: int, seconds: float = 0.0) -> dict[str, Any]:
    time.sleep(seconds)
    return {"x": x, "square": x * x, "root": x**0.5}


def noted(x: int, folder: str, seconds: float = 0.0) -> int:
    """x + 1, after a line in FOLDER/calls: who did which."""
    with (Path(folder) / "calls").open("a") as file:
        file.write(f"{x} {os.getpid()}\n")
    time.sleep(seconds)
    return x + 1


def fold(network: str, digest: str, cycles: int) -> dict[str, Any]:
    """The smallest design of ``network`` (a file, with its hash) of a frame every ``cycles`` cycles."""
    from spikeloom.gen.folding.find import search
    from spikeloom.quant.ir.netfile import load

    loaded = load(network)
    assert loaded.hash == digest
    found = search(loaded, cycles=cycles)
    folds = {name: [f.outputs, f.inputs, f.steps] for name, f in found.folds.items()}
    return {"cycles": found.cycles, "interval": found.interval, "cost": found.cost.tolist(), "folds": folds}


def fails(x: int) -> None:
    if x == 0:
        raise PlanError("conv2: no such stage")
    raise Unpicklable(x, "second")


class Unpicklable(Exception):
    def __init__(self, x: int, second: str) -> None:
        super().__init__(f"{x} and {second}")


def dies(x: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return x


def dies_first(x: int, folder: str, times: int) -> int:
    """Kill its process ``times`` times, then give back ``x``."""
    deaths = Path(folder) / f"deaths-{x}"
    with deaths.open("a") as file:
        file.write(".")
    if deaths.stat().st_size <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def starts_tool(folder: str) -> int:
    """Starts a process of its own, as synthesis does, and waits for it."""
    tool = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (Path(folder) / "tool").write_text(f"{os.getpid()} {tool.pid}")
    return tool.wait()


def gives(value: str) -> Any:
    """What is no result."""
    return {"nan": float("nan"), "none": None, "set": {1}}[value]
