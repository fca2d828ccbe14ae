"""Mutants of emitted Verilog: all of a design in one build, chosen by a number when the simulation starts, and found by
what ``spikeloom verify`` compares: ``python -m tests.mutants.verilog``.

Yosys draws them (``mutate``): a bit of a cell inverted, stuck, or exclusive-ored with another. One that no comparison
tells from the design is given to Yosys again, which tries to prove by induction that it behaves as the design does.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.targets import yosys
from spikeloom.sim.trace import SimulationError
from spikeloom.sim.verify import verify

from .child import Child
from .designs import DESIGNS, frames_of
from .hook import ROOT
from .table import equivalents

BUILD = ROOT / "build" / "mutants" / "verilog"
VERDICTS = BUILD / "verdicts.jsonl"
FOUND, EQUAL, PROVEN = "killed", "survived", "proven"
BITS = 12
PROOF_SECONDS = 30.0


@dataclass(frozen=True)
class Trial:
    """Frames and pauses of a comparison."""

    frames: int
    pauses: float
    seed: int
    resets: tuple[tuple[int, int], ...] = ()


TRIALS = (Trial(6, 0.3, 1), Trial(40, 0.4, 2, ((300, 2),)), Trial(200, 0.5, 3), Trial(60, 0.0, 4))
"""One after the other, until one tells the mutant from the design."""


@dataclass(frozen=True)
class Verdict:
    """What came of a mutant of a design: ``mutation``, Yosys's words; ``outcome``, "killed", "proven" equivalent or
    "survived"; ``boundary``, where it showed first; ``trial``, the number of the comparison that told it."""

    design: str
    mutation: str
    outcome: str
    boundary: str = ""
    trial: int = 0


def listed(file: Path, top: str, count: int, seed: int) -> list[str]:
    """The mutations of a Verilog file, without the places in it."""
    folder = file.parent
    passes = [f"read_verilog {file.name}", f"hierarchy -top {top}", "proc", "opt_clean",
              f"mutate -list {2 * count} -seed {seed} -none -o mutations.txt"]
    yosys.run(passes, folder)
    lines = [re.sub(r" -src \S+", "", line) for line in (folder / "mutations.txt").read_text().splitlines()]
    # What a memory is filled from is no part of the gates.
    usable = [line for line in lines if "$meminit" not in line and "-mode none" not in line]
    return usable[:count]


def instrument(file: Path, top: str, mutations: list[str]) -> None:
    """Put all mutations into a Verilog file; the file ``mutant.txt`` in the working folder names the number of one, 0
    none."""
    folder = file.parent
    steps = [line.replace("mutate ", f"mutate -ctrl mutant {BITS} {k} ", 1) for k, line in enumerate(mutations, 1)]
    passes = [f"read_verilog {file.name}", f"hierarchy -top {top}", "proc", "opt_clean", *steps]
    yosys.run([*passes, "write_rtlil mutants.il", "write_verilog -noattr mutants.v"], folder)
    text = (folder / "mutants.v").read_text()
    start = re.search(rf"^module {top}\(", text, re.MULTILINE)
    assert start
    head, body = text[: start.start()], text[start.start() :]
    body = re.sub(r"(\(|, )mutant(, |\))", lambda m: m[1] if m[2] == ", " else m[2], body, count=1)
    read = 'file = $fopen("mutant.txt", "r"); got = $fscanf(file, "%d", number); $fclose(file);'
    number = f"integer file, got, number; initial begin {read} end wire [{BITS - 1}:0] mutant = number;"
    body, ports = re.subn(rf"input \[{BITS - 1}:0\] mutant;\n\s*wire \[{BITS - 1}:0\] mutant;", number, body, count=1)
    assert ports == 1
    file.write_text(head + body)


def proven(folder: Path, module: str, number: int) -> bool:
    """Whether Yosys proves by induction that ``module`` behaves with a mutant as without it."""
    passes = ["read_rtlil mutants.il", f"hierarchy -top {module}", "memory", "flatten", f"rename {module} base"]
    for name, value in (("gold", 0), ("gate", number)):
        passes += [f"copy base {name}", f"cd {name}", f"connect -set mutant {BITS}'d{value}", "cd .."]
    passes += ["delete base", "opt -full", "equiv_make gold gate both", "hierarchy -top both", "opt_clean",
               "equiv_simple -undef", "equiv_induct -undef", "equiv_status -assert"]
    try:
        yosys.run(passes, folder)
    except yosys.YosysError:
        return False
    return True


def _proven_in_time(folder: Path, top: str, number: int, mutation: str) -> bool:
    """The module alone first, which is quick; where its inputs have to be those of the design, all of it."""
    found = re.search(r"-module (\S+)", mutation)
    for module in (found[1] if found else top, top):
        child = Child(lambda _, module=module: 0 if proven(folder, module, number) else 1, PROOF_SECONDS).begin()
        try:
            while (status := child.ended()) is None:
                time.sleep(0.02)
        finally:
            child.close()
        if status == 0:
            return True
    return False


def tried(
    name: str, design: Design, count: int, seed: int, folder: Path, *, again: bool = False
) -> Iterator[Verdict]:
    """The verdicts of ``count`` mutants of a design, those that are known as they are, but with ``again`` for those
    that survived; files go to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = emit.write(design, folder)
    top, file = contents["top"], folder / contents["verilog"]
    made = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    known = _known(again)
    mutations = listed(file, top, count, seed)
    instrument(file, top, mutations)
    contents["verilog_sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / "design.json").write_text(json.dumps(contents))
    before = Path.cwd()
    os.chdir(folder)
    try:
        for trial in TRIALS:
            if boundary := _difference(design, contents, folder, trial, 0):
                raise SystemExit(f"{name}: differs at {boundary} without a mutant")
        for number, mutation in enumerate(mutations, 1):
            if (verdict := known.get((made, mutation))) is None:
                verdict = _verdict(name, design, contents, folder, number, mutation)
                with VERDICTS.open("a") as store:
                    store.write(json.dumps({"made": made, **asdict(verdict)}) + "\n")
            yield verdict
    finally:
        os.chdir(before)


def _known(again: bool) -> dict[tuple[str, str], Verdict]:
    """What earlier runs found, by hash of the Verilog and mutation."""
    found: dict[tuple[str, str], Verdict] = {}
    for line in VERDICTS.read_text().splitlines() if VERDICTS.exists() else []:
        with contextlib.suppress(ValueError):  # the end of a line was lost with the run
            entry = json.loads(line)
            made = entry.pop("made")
            found[made, entry["mutation"]] = Verdict(**entry)
    return {key: verdict for key, verdict in found.items() if not (again and verdict.outcome == EQUAL)}


def _verdict(
    name: str, design: Design, contents: dict[str, Any], folder: Path, number: int, mutation: str
) -> Verdict:
    for k, trial in enumerate(TRIALS, 1):
        if boundary := _difference(design, contents, folder, trial, number):
            return Verdict(name, mutation, FOUND, boundary, k)
    equal = _proven_in_time(folder, contents["top"], number, mutation)
    return Verdict(name, mutation, PROVEN if equal else EQUAL)


def _difference(design: Design, contents: dict[str, Any], folder: Path, trial: Trial, number: int) -> str:
    """The boundary at which a mutant differs, empty where none does."""
    Path("mutant.txt").write_text(f"{number}\n")
    frames = frames_of(design, trial.frames, trial.seed)
    try:
        outcome = verify(
            design, contents, folder, frames, pauses=trial.pauses, seed=trial.seed, resets=trial.resets,
            cache=BUILD / "cache",
        )
    except SimulationError as error:  # a loop of gates that never comes to rest
        return f"the simulator: {error}"
    return outcome.differences[0].boundary if outcome.differences else ""


def main() -> int:
    """Try, report."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.verilog")
    parser.add_argument("--count", type=int, default=200, help="mutants in all (200)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice (0)")
    parser.add_argument("--only", choices=list(DESIGNS), help="of this design alone")
    parser.add_argument("--again", action="store_true", help="try again what survived an earlier run")
    parser.add_argument("--json", action="store_true", help="write the verdicts as JSON")
    options = parser.parse_args()
    names = [options.only] if options.only else list(DESIGNS)
    verdicts: list[Verdict] = []
    start = time.monotonic()
    with Progress(console=Console(stderr=True)) as progress:
        for k, name in enumerate(names):
            count = (options.count + k) // len(names)
            task = progress.add_task(name, total=count)
            folder = BUILD / name
            for verdict in tried(name, DESIGNS[name](), count, options.seed, folder, again=options.again):
                verdicts.append(verdict)
                progress.advance(task)
    reasons = equivalents()
    left = [v for v in verdicts if v.outcome == EQUAL and (v.design, v.mutation) not in reasons]
    if options.json:
        json.dump([asdict(v) for v in verdicts], sys.stdout, indent=1)
        print()
        return bool(left)
    for verdict in left:
        print(f"{verdict.design}: {verdict.mutation}: survived")
    for name in names:
        mine = [v.outcome for v in verdicts if v.design == name]
        here = sum(v.design == name for v in left)
        argued = mine.count(EQUAL) - here
        print(f"{name}: {len(mine)} mutants, {mine.count(FOUND)} killed, {mine.count(PROVEN)} proven equivalent, "
              f"{argued} argued equivalent, {here} survived")
    print(f"{len(verdicts)} mutants in {time.monotonic() - start:.0f} s")
    return bool(left)


if __name__ == "__main__":
    sys.exit(main())
