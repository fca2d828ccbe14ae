"""Verilog to a simulator program: Verilator, then g++, with every result kept under the hash of what went into it.

The compiler is called directly rather than through Verilator's make file: the make file of the PyPI package lacks
settings that models of several files need, and this way the run-time library is compiled once for all designs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ...hdl.cache import prune
from ..environment import MAX_VIOLATIONS
from ..ports import DesignPorts
from ..trace import SimulationError
from .start import without_initial_values
from .toolchain import find_program, run_program, verilator_root, verilator_version

__all__ = ["build_model", "control_file"]

HARNESS = [Path(__file__).with_name(name) for name in ("harness.cpp", "recording.h")]
VERILATOR_OPTIONS = (
    *("--cc", "--exe", "--prefix", "Vdesign", "-O3", "--x-assign", "fast", "--x-initial", "fast"),
    *("--no-timing", "--timescale", "1ns/1ns", "--output-split", "20000"),
    *("-Wno-fatal", "-Wno-lint", "-Wno-style", "--quiet-stats"),
)
RANDOM_START = ("--x-assign", "unique", "--x-initial", "unique")
UNIT_BYTES = 1_500_000
"""So much generated C++ goes through the compiler in one run, a small design as a whole: every run reads Verilator's
headers first, which takes as long as 500,000 bytes of a design. Runs of larger designs use all cores."""


def build_model(
    verilog: Path, ports: DesignPorts, cache: Path, *, waves: bool, optimize: str, random_start: bool = False
) -> tuple[Path, bool]:
    """Return the simulator program of a design and whether it was there already.

    Parameters: ``verilog``, the file; ``cache``, the folder that keeps programs and run-time library; ``waves``,
    whether the program can write waveforms; ``optimize``, the compiler's option for the design, such as ``-O1``;
    ``random_start``, whether registers start with random values (``sim.simulators.start``).
    """
    compiler = find_program("g++", "The Verilator simulator")
    root = verilator_root()
    if not verilog.is_file():
        raise SimulationError(f"There is no Verilog file {verilog}")
    flags = [
        *("-std=gnu++17", "-DVERILATOR=1", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TIMING=0", "-w"),
        *("-DVM_TRACE_FST=0", "-DVM_TRACE_SAIF=0", f"-I{root / 'include'}", f"-I{root / 'include' / 'vltstd'}"),
    ]
    # The run-time library is the same with and without waveforms.
    of_design = [f"-DVM_TRACE={waves:d}", f"-DVM_TRACE_VCD={waves:d}"]
    tools = (verilator_version(), run_program([compiler, "--version"], "g++ --version"), *flags)
    options = (*VERILATOR_OPTIONS, *(RANDOM_START if ports.random or random_start else ()))
    source = verilog.read_text(encoding="utf-8", errors="surrogateescape")
    if random_start:
        source = without_initial_values(source, ports.top)
    data = source.encode("utf-8", "surrogateescape")
    texts = {"ports.h": _ports_header(ports), "boundaries.vlt": control_file(ports, "public_flat_rd")}
    harness = [path.read_text() for path in HARNESS]
    key = _hash(*tools, *of_design, *options, optimize, *harness, ports.top, *texts.values(), data)
    program = cache / f"model-{key}" / "model"
    if program.is_file():
        os.utime(program.parent)
        return program, True
    cache.mkdir(parents=True, exist_ok=True)
    prune(cache)
    with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as name:
        folder = Path(name).resolve()
        for file, text in texts.items():
            (folder / file).write_text(text)
        # Verilator takes a dollar in a path for the name of a variable, so it sees names in this folder only.
        (folder / "design.v").write_bytes(data)
        run_program(
            [
                *(root / "bin" / "verilator_bin", *options, *(["--trace-vcd"] if waves else [])),
                *("--top-module", ports.top, "--Mdir", ".", "boundaries.vlt", "design.v"),
            ],
            f"Verilator on {verilog.name}",
            folder=folder,
            environment={"VERILATOR_ROOT": str(root)},
        )
        runtime = _runtime_objects(root, folder, cache, [compiler, *flags], _hash(*tools))
        command = [compiler, *flags, *of_design, f"-I{folder}"]
        units = _units(folder, optimize)
        _compile_all(
            [([*command, level, "-c", unit, "-o", unit.with_suffix(".o")], unit.name) for unit, level in units]
        )
        objects = [unit.with_suffix(".o") for unit, _ in units]
        finished = folder / "finished"
        finished.mkdir()
        run_program([compiler, "-o", finished / "model", *objects, *runtime, "-lpthread"], "Linking the simulator")
        _publish(finished, program.parent)
    return program, False


def _units(folder: Path, optimize: str) -> list[tuple[Path, str]]:
    """Gather the generated files into compilation units, each with its optimisation option."""
    for path in HARNESS:
        shutil.copy(path, folder)
    files = sorted(path for path in folder.glob("Vdesign*.cpp"))
    harness = folder / "harness.cpp"
    if len(_groups([harness, *files])) == 1:
        return [(_unit(folder / "unit.cpp", [harness, *files]), optimize)]
    units = []
    # What runs once only, and is often the larger part, is not worth the compiler's time.
    for kind, level in (("slow", "-O0"), ("fast", optimize)):
        chosen = [path for path in files if path.stem.endswith("Slow") == (kind == "slow")]
        for number, group in enumerate(_groups(chosen if kind == "slow" else [harness, *chosen])):
            units.append((_unit(folder / f"unit_{kind}_{number}.cpp", group), level))
    return units


def _unit(unit: Path, files: Iterable[Path]) -> Path:
    unit.write_text("".join(f'#include "{path.name}"\n' for path in files))
    return unit


def _groups(files: Iterable[Path]) -> list[list[Path]]:
    groups: list[list[Path]] = []
    room = 0
    for path in files:
        size = path.stat().st_size
        if size > room:
            groups.append([])
            room = UNIT_BYTES
        groups[-1].append(path)
        room -= size
    return groups


def _runtime_objects(root: Path, folder: Path, cache: Path, command: list[str], key: str) -> list[Path]:
    """Compile what a design needs of Verilator's run-time library, each file once for a set of tools and options."""
    listing = (folder / "Vdesign_classes.mk").read_text().replace("\\\n", " ")
    names = [name for line in re.findall(r"^VM_GLOBAL_\w+ \+=(.*)$", listing, re.MULTILINE) for name in line.split()]
    objects = {name: cache / f"runtime-{_hash(key, name)}" / f"{name}.o" for name in names}
    if missing := _missing(objects):
        with (cache / "runtime.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another process that builds the same is nearly done with it
            if missing := _missing(objects):
                with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as building:
                    made = {name: Path(building).resolve() / name / f"{name}.o" for name in missing}
                    for path in made.values():
                        path.parent.mkdir()
                    source = root / "include"
                    _compile_all(
                        [([*command, "-O1", "-c", source / f"{n}.cpp", "-o", path], n) for n, path in made.items()]
                    )
                    for name, path in made.items():
                        _publish(path.parent, objects[name].parent)
    return list(objects.values())


def _missing(objects: dict[str, Path]) -> list[str]:
    """The names of the ``objects`` that are not there; the others are kept for longer."""
    found = [name for name, path in objects.items() if not path.is_file()]
    for path in objects.values():
        if path.is_file():
            os.utime(path.parent)
    return found


def _compile_all(jobs: list[tuple[list[str | Path], str]]) -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda job: run_program(job[0], f"Compiling {job[1]}"), jobs))


def _publish(folder: Path, target: Path) -> None:
    """Move a finished folder to its place, where another process may have put the same in the meantime."""
    try:
        folder.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _ports_header(ports: DesignPorts) -> str:
    lines = []
    lasts = {last.boundary: last for last in ports.lasts}
    for index, port in enumerate(ports.boundaries):
        # Verilator's names in C++: a double underscore in the Verilog is written with the code of its second half.
        prefix = f"{ports.top}__DOT__".replace("__", "___05F", ports.top.count("__"))
        signal = [prefix + f"{port.signal}_{part}".replace("__", "___05F") for part in ("valid", "ready", "payload")]
        last = lasts.get(port.name)
        mark = f"top->{last.port.replace('__', '___05F')}, {last.words}" if last else "false, 0"
        lines.append(f"    X({index}, {port.limbs}, {', '.join(signal)}, {mark})")
    readies = " ".join(f"X({k}, {port.replace('__', '___05F')}___05Fready)" for k, port in enumerate(ports.outputs))
    return (
        f"#define INPUT_LIMBS {ports.input.limbs}\n#define INPUT_WIDTH {ports.input.width}\n"
        f"#define OUTPUTS(X) {readies}\n"
        f"#define MAX_VIOLATIONS {MAX_VIOLATIONS}\n#define BOUNDARIES(X) \\\n" + " \\\n".join(lines) + "\n"
    )


def control_file(ports: DesignPorts, rule: str, others: Sequence[str] = ()) -> str:
    """Return a Verilator control file that applies a rule to the wires of all boundaries and to other signals."""
    wires = [f"{port.signal}_{part}" for port in ports.boundaries for part in ("valid", "ready", "payload")]
    lines = [f'{rule} -module "{ports.top}" -var "{name}"\n' for name in (*others, *wires)]
    return "`verilator_config\n" + "".join(lines)


def _hash(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:24]
