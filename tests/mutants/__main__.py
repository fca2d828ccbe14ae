"""Mutants of the sources, each against the tests that run what it changes: ``python -m tests.mutants``.

Ends with status 1 where a mutant survives that ``equivalent.toml`` does not explain.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .child import KILLED, SURVIVED, Child, base_options, run_mutant
from .choice import Mutant, choose, source_hash
from .coverage import Coverage, measure, stale
from .hook import ROOT
from .results import Result, Store
from .table import GROUPS, equivalents, group_of

BUILD = ROOT / "build" / "mutants"
CACHE = BUILD / "cache"

MOST_SECONDS = 60.0
"""Tests of one mutant, the quickest first."""

LIBRARIES = ("numpy", "torch", "torch.fx", "torch.nn.functional", "safetensors.torch", "amaranth.sim",
             "amaranth.back.rtlil", "amaranth.back.verilog", "hypothesis", "scipy.sparse", "typer", "rich.table")


def main() -> int:
    """Choose, try, report."""
    options = _options()
    os.environ["OMP_NUM_THREADS"] = "1"
    files = options.only or [file for group in GROUPS.values() for file in group.files()]
    mutants = choose(files, options.count, options.seed)
    if options.group:
        mutants = [mutant for mutant in mutants if group_of(mutant.file) == options.group]
    console = Console(stderr=True)
    if options.list:
        for mutant in mutants:
            print(mutant)
        return 0
    for name in LIBRARIES:
        importlib.import_module(name)
    store = Store(options.results)
    start = time.monotonic()
    sources: dict[str, set[str]] = {}
    for mutant in mutants:
        sources.setdefault(group_of(mutant.file), set()).add(mutant.file)
    coverage = {group: _coverage(group, files, console) for group, files in sources.items()}
    reasons = equivalents()
    open_ones = [m for m in mutants if (m.file, m.mutation.name) not in reasons]
    todo = [m for m in open_ones if (known := store.get(m)) is None or (options.again and not known.killed)]
    with _progress(console) as progress:
        task = progress.add_task("mutants", total=len(todo))
        for result in _tried(deque(todo), coverage, options.jobs):
            store.add(result)
            if not result.killed:
                progress.console.print(f"{result.file}:{result.line}: {result.name}: {result.outcome}", markup=False)
            progress.advance(task)
            progress.refresh()
    return _report(mutants, store, reasons, options.json, time.monotonic() - start)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--count", type=int, default=400, help="mutants in all (400)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice (0)")
    parser.add_argument("--only", action="append", metavar="FILE", help="of this source; may be given several times")
    parser.add_argument("--group", choices=list(GROUPS), help="those of the choice that are in one group of sources")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at once (2)")
    parser.add_argument("--again", action="store_true", help="try again what survived an earlier run")
    parser.add_argument("--list", action="store_true", help="list the mutants and end")
    parser.add_argument("--json", action="store_true", help="write the results as JSON")
    parser.add_argument("--results", type=Path, default=BUILD / "results.jsonl", help="file of the results")
    return parser.parse_args()


def _progress(console: Console) -> Progress:
    # No thread that refreshes: processes are forked from this one.
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, auto_refresh=False)


def _coverage(group: str, sources: set[str], console: Console) -> Coverage:
    """Measured where tests or sources have changed, as far as mutants of ``sources`` need it."""
    path = BUILD / f"coverage-{group}.json"
    if tests := stale(group, path, sources):
        console.print(f"{group}: {len(tests)} test files are run once to see what they reach")

        def work(folder: Path) -> int:
            os.environ["SPIKELOOM_CACHE"] = str(CACHE)
            options = [option for option in base_options(folder) if option != "-x"]
            return measure(group, tests, path, options)

        child = Child(work, limit=3600).begin()
        try:
            while (status := child.ended()) is None:
                time.sleep(0.2)
            if stale(group, path, sources):
                raise SystemExit(f"The tests of {group} could not be run (status {status}):\n{child.output()}")
            if status:
                console.print(f"{group}: tests that fail without a mutant are left out:\n{child.output()}")
        finally:
            child.close()
    return Coverage.read(path)


def _tried(todo: deque[Mutant], coverage: dict[str, Coverage], jobs: int) -> Iterator[Result]:
    """Results of all mutants, in the order in which they come."""
    running: list[tuple[Child, Mutant, int, int]] = []
    try:
        while todo or running:
            while todo and len(running) < jobs:
                mutant = todo.popleft()
                if source_hash(mutant.file) != mutant.source:
                    raise SystemExit(f"{mutant.file} has changed since the mutants were chosen; run this again")
                known = coverage[group_of(mutant.file)]
                tests = known.of(mutant.file, mutant.mutation.statement)
                if not tests:
                    yield _result(mutant, "not run")
                    continue
                chosen = _first(tests, known.seconds)
                running.append((_begin(mutant, chosen, known.seconds), mutant, len(tests), len(tests) - len(chosen)))
            time.sleep(0.02)
            for entry in list(running):
                child, mutant, tests, left = entry
                status = child.ended()
                if status is None:
                    continue
                outcome = {SURVIVED: "survived", KILLED: "killed"}.get(status, "time" if status < 0 else "killed")
                test = child.result().get("test", "") if outcome != "survived" else ""
                yield _result(mutant, outcome, test, tests, left, round(child.seconds(), 2))
                running.remove(entry)
                child.close()
    finally:
        for child, *_ in running:
            child.close()


def _first(tests: list[str], seconds: dict[str, float]) -> list[str]:
    """As many as there is time for."""
    total, chosen = 0.0, []
    for name in tests:
        total += seconds[name]
        if chosen and total > MOST_SECONDS:
            break
        chosen.append(name)
    return chosen


def _begin(mutant: Mutant, tests: list[str], seconds: dict[str, float]) -> Child:
    def work(folder: Path) -> int:
        # A mutant of what fills the cache of simulator programs gets one of its own.
        own = folder / "cache" if mutant.file.startswith("sim/") else CACHE
        if own != CACHE and CACHE.is_dir():
            shutil.copytree(CACHE, own)
        os.environ["SPIKELOOM_CACHE"] = str(own)
        return run_mutant(mutant.file, mutant.mutation.index, tests, seconds, folder)

    return Child(work, limit=90 + 4 * sum(seconds[name] for name in tests)).begin()


def _result(
    mutant: Mutant, outcome: str, test: str = "", tests: int = 0, left: int = 0, seconds: float = 0.0
) -> Result:
    mutation = mutant.mutation
    return Result(mutant.file, mutation.name, mutation.line, mutant.source, outcome, test, tests, left, seconds)


def _report(
    mutants: list[Mutant], store: Store, reasons: dict[tuple[str, str], str], as_json: bool, seconds: float
) -> int:
    """Print what survived, and the numbers."""
    explained = [m for m in mutants if (m.file, m.mutation.name) in reasons]
    results = [result for m in mutants if m not in explained and (result := store.get(m))]
    survived = [r for r in results if not r.killed]
    if as_json:
        entries = [asdict(r) for r in results]
        entries += [{"file": m.file, "name": m.mutation.name, "line": m.mutation.line, "outcome": "equivalent",
                     "reason": reasons[m.file, m.mutation.name]} for m in explained]
        json.dump({"seconds": round(seconds, 1), "mutants": entries}, sys.stdout, indent=1)
        print()
        return bool(survived)
    for result in survived:
        print(f"{result.file}:{result.line}: {result.name}: {result.outcome}")
    for group in dict.fromkeys(group_of(m.file) for m in mutants):
        equal = sum(group_of(m.file) == group for m in explained)
        counts = Counter(r.outcome for r in results if group_of(r.file) == group)
        killed = counts["killed"] + counts["time"]
        print(f"{group}: {killed + equal + counts['survived'] + counts['not run']} mutants, {killed} killed, "
              f"{equal} equivalent, {counts['survived']} survived, {counts['not run']} in statements that no test runs")
    print(f"{seconds:.0f} s")
    return bool(survived)


if __name__ == "__main__":
    sys.exit(main())
