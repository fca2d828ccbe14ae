"""Simulation of an emitted design with cocotb on Verilator or Icarus: driven as a stranger to it would."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ...hdl.cache import cache_folder
from ..environment import checked
from ..ports import DesignPorts
from ..trace import SimulationError, Stimulus, Trace
from .npz import load_trace, save_stimulus
from .object_cache import make_variable
from .toolchain import find_program, plain_folder, tail, verilator_root
from .verilator_build import control_file

__all__ = [
    "MAKE_FLAGS", "SIMULATORS", "VERILATOR_ARGUMENTS", "build_environment", "environment", "explained", "run_cocotb",
]

SIMULATORS = ("verilator", "icarus")

VERILATOR_ARGUMENTS = (
    # cocotb makes every signal public, which costs minutes for a large design; the control file names the few needed.
    *("--no-public-flat-rw", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-timing"),
    *("-Wno-fatal", "-Wno-lint", "-Wno-style", "--quiet-stats"),
)
INPUT_PORTS = ("clk", "rst", "i__payload", "i__valid", "i__ready")
# The make file of the PyPI package leaves the first two empty, which g++ needs once a model is split in several files,
# and calls "python", which many systems do not have.
MAKE_FLAGS = (
    "CFG_CXXFLAGS_PCH_I=-include CFG_GCH_IF_CLANG= OPT_FAST=-O1 OPT_GLOBAL=-O1 PYTHON3="
    + sys.executable.replace(" ", "\\ ")
)


def run_cocotb(
    verilog_path: Path,
    ports: DesignPorts,
    stimulus: Stimulus,
    work_dir: Path,
    simulator: str = "verilator",
    cache: Path | None = None,
) -> tuple[Trace, float]:
    """Build a design for a simulator, run it under cocotb; return all transfers and the seconds of the build.

    Parameters: ``work_dir``, a folder for the run and its logs; the build is in a temporary one; ``simulator``, one of
    :data:`SIMULATORS`; ``cache``, the folder of builds (``hdl.cache``).

    Raises SimulationError where a tool is missing or the run fails, with the end of its log.
    """
    if simulator not in SIMULATORS:
        raise ValueError(f"Simulator must be one of {', '.join(SIMULATORS)}, not {simulator!r}")
    variables = build_environment(simulator, cache)
    if not Path(verilog_path).is_file():
        raise SimulationError(f"There is no Verilog file {verilog_path}")
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    work_dir = Path(work_dir).resolve()
    work_dir.mkdir(parents=True, exist_ok=True)
    save_stimulus(work_dir / "stimulus.npz", checked(stimulus, ports.input.width, len(ports.outputs)))
    (work_dir / "ports.json").write_text(json.dumps(ports.to_json()))
    control = ""
    if simulator == "verilator":
        outputs = [f"{port}__{part}" for port in ports.outputs for part in ("payload", "valid", "ready")]
        lasts = [last.port for last in ports.lasts]
        control = control_file(ports, "public_flat_rw", (*INPUT_PORTS, *outputs, *lasts))
    for name in ("trace.npz", "results.xml"):
        (work_dir / name).unlink(missing_ok=True)

    with environment(**variables), plain_folder() as build_dir:
        sources = [build_dir / "design.v"]
        shutil.copyfile(verilog_path, sources[0])
        if control:
            sources.insert(0, build_dir / "boundaries.vlt")
            sources[0].write_text(control)
        runner = get_runner(simulator)
        build_log, run_log = work_dir / "build.log", work_dir / "run.log"
        start = time.perf_counter()
        with explained(f"Building {ports.top} for {simulator}", build_log):
            runner.build(
                sources=sources,
                hdl_toplevel=ports.top,
                build_dir=build_dir,
                build_args=list(VERILATOR_ARGUMENTS) if simulator == "verilator" else [],
                timescale=("1ns", "1ps"),
                always=True,
                log_file=build_log,
            )
        build_seconds = time.perf_counter() - start
        with explained(f"Running {ports.top} in {simulator}", run_log):
            results = runner.test(
                hdl_toplevel=ports.top,
                test_module="spikeloom.sim.simulators.cocotb_bench",
                build_dir=build_dir,
                test_dir=work_dir,
                results_xml=str(work_dir / "results.xml"),
                extra_env={"SPIKELOOM_BENCH": str(work_dir), "COCOTB_LOG_LEVEL": "WARNING"},
                timescale=("1ns", "1ps"),
                log_file=run_log,
            )
            ran, failed = get_results(results)
    if (ran, failed) != (1, 0) or not (work_dir / "trace.npz").is_file():
        raise SimulationError(f"Running {ports.top} in {simulator} failed:\n{_quote(run_log)}")
    return load_trace(work_dir / "trace.npz"), build_seconds


def build_environment(simulator: str, cache: Path | None = None) -> dict[str, str | None]:
    """The variables with which cocotb finds and builds the simulator, after checking that everything is there."""
    if importlib.util.find_spec("cocotb_tools") is None:
        raise SimulationError("cocotb needs the Python package cocotb 2.1 or later: pip install cocotb")
    if simulator == "icarus":
        find_program("iverilog", "cocotb on Icarus")
        return {"PYTEST_CURRENT_TEST": None}
    for program in ("g++", "make", "perl"):
        find_program(program, "cocotb on Verilator")
    flags = f"{MAKE_FLAGS} {make_variable(cache or cache_folder())}"
    path = f"{verilator_root() / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    return {"PATH": path, "MAKEFLAGS": flags, "VERILATOR_ROOT": None, "PYTEST_CURRENT_TEST": None}


@contextlib.contextmanager
def environment(**values: str | None) -> Iterator[None]:
    """Set environment variables, or remove those given as None, for a while: cocotb's runner reads them from here."""
    before = {name: os.environ.get(name) for name in values}
    try:
        for name, value in values.items():
            _set(name, value)
        yield
    finally:
        for name, value in before.items():
            _set(name, value)


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


@contextlib.contextmanager
def explained(what: str, log: Path) -> Iterator[None]:
    """Turn every way in which cocotb's runner fails, SystemExit included, into a SimulationError."""
    try:
        yield
    except (SystemExit, RuntimeError, ValueError, OSError) as error:
        raise SimulationError(f"{what} failed: {error}\n{_quote(log)}") from error


def _quote(log: Path) -> str:
    return tail(log.read_text(errors="replace")) if log.is_file() else ""
