"""A simulated board: the emitted Verilog of a design with its serial port, in Verilator under cocotb.

Its serial port is a pseudo-terminal of this machine, so that the program that talks to a board talks to it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np

from ...gen.design import Design
from ...gen.tops.link import TOP, verilog
from ..simulators.cocotb_run import MAKE_FLAGS, VERILATOR_ARGUMENTS, build_environment, environment, explained
from ..simulators.toolchain import plain_folder, tail, verilator_version
from ..trace import SimulationError

__all__ = ["CLOCK_HZ", "CYCLES_PER_BIT", "BoardSim", "build", "play"]

CLOCK_HZ = 12_000_000
"""Clock that a simulated board says it has."""

CYCLES_PER_BIT = 4
"""Clock cycles of a bit on its serial line: the fewest there may be."""

INPUTS = ("rx", "rst")
PORTS = ("clk", *INPUTS, "tx", "busy", "error", "heartbeat")
START_SECONDS = 60.0


def build(design: Design, cache: Path, *, cycles_per_bit: int = CYCLES_PER_BIT) -> Path:
    """Return the folder of the simulator of ``design`` with its link, from the cache where it is there already.

    Parameters: ``cache``, a folder that keeps the builds of any number of designs under the hash of all they depend
    on. Raises SimulationError where a tool is missing or the build fails, PlanError where the design fits no link.
    """
    variables = build_environment("verilator", cache)
    from cocotb_tools.runner import get_runner

    text = verilog(design, CLOCK_HZ, CLOCK_HZ / cycles_per_bit)
    versions = (verilator_version(), importlib.metadata.version("cocotb"), sys.version)
    key = hashlib.sha256("\0".join([*versions, *VERILATOR_ARGUMENTS, MAKE_FLAGS, text]).encode()).hexdigest()[:24]
    folder = Path(cache).resolve() / f"board-{key}"
    if (folder / "built").is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="building-", dir=folder.parent) as name,
        plain_folder() as building,
        environment(**variables),
        explained("Building the simulated board", building / "build.log"),
    ):
        (building / "top.v").write_text(text)
        rules = "".join(f'public_flat_rw -module "{TOP}" -var "{port}"\n' for port in PORTS)
        (building / "ports.vlt").write_text("`verilator_config\n" + rules)
        get_runner("verilator").build(
            sources=[building / "ports.vlt", building / "top.v"],
            hdl_toplevel=TOP,
            build_dir=building,
            build_args=list(VERILATOR_ARGUMENTS),
            timescale=("1ns", "1ps"),
            always=True,
            log_file=building / "build.log",
        )
        finished = Path(name) / "finished"
        finished.mkdir()
        shutil.copy(building / TOP, finished)
        (finished / "settings.json").write_text(json.dumps({"cycles_per_bit": cycles_per_bit}))
        (finished / "built").touch()
        try:
            finished.rename(folder)
        except OSError:  # another process was quicker
            if not (folder / "built").is_file():
                raise
    return folder


def play(
    folder: Path, times: np.ndarray, inputs: np.ndarray, values: np.ndarray, end: float, work: Path
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Set inputs of a simulated board at given times; return the times and values of the edges of ``tx``, and whether
    the board was busy at the ``end``.

    Parameters: ``folder`` of :func:`build`; ``times`` (n,) in clock cycles since the reset, in order; ``inputs`` (n,),
    0: ``rx``, 1: ``rst``; ``values`` (n,); ``work``, a folder for the files of the run. Raises SimulationError.
    """
    work.mkdir(parents=True, exist_ok=True)
    np.savez(work / "script.npz", times=times, inputs=inputs, values=values, end=end)
    (work / "edges.npz").unlink(missing_ok=True)
    process = _start(folder, work, script=True)
    process.communicate()
    if process.returncode or not (work / "edges.npz").is_file():
        raise SimulationError(f"The simulation of the board failed:\n{_log(work)}")
    with np.load(work / "edges.npz") as file:
        return file["times"], file["values"], bool(file["busy"])


class BoardSim:
    """A running simulated board, for a ``with`` statement.

    Attributes: ``port``, its serial port, a pseudo-terminal. Nothing moves in it while the host sends nothing and
    nothing is under way. What the host does not read is lost once the terminal's buffer is full, as with a board.
    Raises SimulationError where it does not start.
    """

    port: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._work = tempfile.TemporaryDirectory(prefix="spikeloom-board-")

    def __enter__(self) -> Self:
        work = Path(self._work.name)
        self._process = _start(self.folder, work, script=False)
        start = time.monotonic()
        while not (work / "port").is_file():
            if self._process.poll() is not None or time.monotonic() - start > START_SECONDS:
                text = _log(work)
                self.__exit__(None, None, None)
                raise SimulationError(f"The simulated board does not start:\n{text}")
            time.sleep(0.02)
        self.port = (work / "port").read_text()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._work.cleanup()

    @property
    def cycles(self) -> int:
        """Clock cycles until the end of the last reply."""
        text = (Path(self._work.name) / "cycles").read_text()
        return int(text) if text.strip() else 0


_CHILD = "import sys; from spikeloom.sim.board.simulation import _run; _run(*sys.argv[1:])"


def _start(folder: Path, work: Path, *, script: bool) -> subprocess.Popen[bytes]:
    settings = json.loads((folder / "settings.json").read_text()) | {"script": script}
    (work / "bench.json").write_text(json.dumps(settings))
    output: Callable[[], IO[bytes]] = lambda: (work / "child.log").open("wb")  # noqa: E731
    with output() as log:
        return subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(folder), str(work)], stdin=subprocess.PIPE, stdout=log, stderr=log
        )


def _run(folder: str, work: str) -> None:
    """Run the simulator in this process's child, which has this process's standard input."""
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    with environment(PYTEST_CURRENT_TEST=None):
        results = get_runner("verilator").test(
            hdl_toplevel=TOP,
            hdl_toplevel_lang="verilog",
            test_module="spikeloom.sim.board.bench",
            build_dir=folder,
            test_dir=work,
            results_xml=str(Path(work) / "results.xml"),
            extra_env={"SPIKELOOM_BENCH": work, "COCOTB_LOG_LEVEL": "WARNING"},
            timescale=("1ns", "1ps"),
            log_file=Path(work) / "run.log",
        )
    if get_results(results) != (1, 0):
        raise SystemExit(1)


def _log(work: Path) -> str:
    files = [work / name for name in ("run.log", "child.log")]
    return tail("\n".join(file.read_text(errors="replace") for file in files if file.is_file()))
