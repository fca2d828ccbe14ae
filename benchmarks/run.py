"""Measure all standing works, compare with the figures before, and write ``results.json``.

    python -m benchmarks.run [WORK ...] [--network NAME ...] [--jobs N]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from . import accuracy
from .measure import measure
from .records import RESULTS, Record, changes, published, read, write
from .subject import COMMAND, BenchmarkError, Subject, to_records
from .works import WORKS

__all__ = ["main"]


def show_changes(before: list[Record], after: list[Record], console: Console) -> None:
    """Print the figures that are not as before; speeds are those of this machine."""
    table = Table("work", "design", "metric", "before", "now", "now / before", title="Changes against results.json")
    for old, new, ratio in changes(before, after):
        table.add_row(new.work, new.design, new.metric, f"{old.value:,}", f"{new.value:,}", f"{ratio:.3f}")
    console.print(table if table.row_count else "No figure differs from results.json.")


def show(subjects: list[Subject], console: Console) -> None:
    """Print the figures of ``subjects``."""
    for subject in subjects:
        console.print(
            f"[bold]{subject.work}[/bold] {subject.tool}, {subject.name}: "
            + ", ".join(
                [f"{metric} {value:,}" for metric, (value, _) in subject.figures.items()]
                + [f"{metric} not measured ({why})" for metric, why in subject.missing.items()]
            )
        )


def record(works: list[str], networks: list[str], names: list[str], console: Console, jobs: int) -> None:
    """Measure ``works``, of accuracy ``networks``; put what is found in the place of what is there, in the order of
    ``names``."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        subjects = measure(works, networks, Path(folder), console, jobs)
    before, after = read(), to_records(subjects)
    show([subject for subject in subjects if subject.work != "cost"], console)
    show_changes(before, after, console)
    trained = {network.name for network in accuracy.trained()}
    kept = [r for r in before if r.measured and (r.command.removeprefix(COMMAND) not in works
            or (r.work == "accuracy" and r.design in trained - set(networks)))]  # fmt: skip
    write(sorted([*kept, *after], key=lambda r: names.index(r.work)) + published(), RESULTS)
    console.print(f"{len(after)} figures in {time.perf_counter() - start:.0f} s")


def main(argv: list[str] | None = None) -> int:
    """Run the benchmarks; the exit status is not zero where a design fails its verification."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description="Measure the standing works.")
    names = [*WORKS, "array", "cost", "da4ml", "accuracy", "bulk", "netlist", "explore", "spiking"]
    parser.add_argument("works", nargs="*", metavar="WORK", help=f"{', '.join(names)}; all without this argument")
    trained = [network.name for network in accuracy.trained()]
    parser.add_argument("--network", action="append", default=[], choices=trained, metavar="NAME",
                        help=f"a network that 'accuracy' measures, all without: {', '.join(trained)}")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=2, help="placements at once (2)")
    options = parser.parse_args(argv)
    works = options.works or names
    if unknown := set(works) - set(names):
        parser.error(f"no such work: {', '.join(sorted(unknown))}; choose from {', '.join(names)}")
    console = Console(width=160)
    # Every network by itself, so that its figures are kept when it is done.
    parts = [([name for name in works if name != "accuracy"], [])]
    parts += [(["accuracy"], [name]) for name in options.network or trained if "accuracy" in works]
    try:
        for part, networks in parts:
            if part:
                record(part, networks, names, console, options.jobs)
    except BenchmarkError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
