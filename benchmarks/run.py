"""Measure all standing works, compare with the figures before, and write ``results.json``.

    python -m benchmarks.run [WORK ...]

A figure is written only for a design that passed: every word in every cycle on every boundary equals the prediction
for all test frames, so that the cycles below are those of the RTL, and the logits are those of the golden model.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from spikeloom.gen import emit
from spikeloom.gen.design import Design
from spikeloom.gen.fold import auto
from spikeloom.quant import golden
from spikeloom.sim.verify import Simulator, verify

from . import area, array
from .records import OURS, RESULTS, Record, changes, published, read, write
from .works import WORKS, Work

__all__ = ["main"]

Figures = dict[str, tuple[float, str]]
"""Value and unit by metric."""


class BenchmarkError(RuntimeError):
    """A design that is not what it should be; its figures would mean nothing."""


@dataclass
class Subject:
    """A generated design under measurement: its ``name`` in the tables, its ``folder``, its ``figures`` so far."""

    work: str
    name: str
    folder: Path
    figures: Figures

    @property
    def product(self) -> float:
        """Area times cycles."""
        return self.figures["lut4_eq"][0] * self.figures["cycles_per_frame"][0]


def check_golden(work: Work) -> float:
    """The accuracy of the golden model in percent; its logits must be those that came with the work."""
    logits = golden.run(work.network, work.frames)[work.network.nodes[-1].name]
    if work.logits is not None and not np.array_equal(logits, work.logits):
        raise BenchmarkError(f"{work.name}: the logits are not those of the workload")
    return round(100 * float((logits.argmax(1) == work.labels).mean()), 2)


def generate(work: Work, target: int | None, folder: Path) -> tuple[Design, dict, Subject]:
    """Generate the design for ``target`` cycles into ``folder``."""
    start = time.perf_counter()
    design = Design(work.network, auto(work.network, target))
    contents = emit.write(design, folder)
    seconds = time.perf_counter() - start
    predicted = contents["predicted"]
    subject = Subject(work.name, "auto, best product" if target is None else f"auto, {target} cycles", folder, {
        "cycles_per_frame": (predicted["interval_cycles"], "cycles"),
        "latency_cycles": (predicted["latency_cycles"], "cycles"), "generate_seconds": (round(seconds, 2), "s")})
    return design, contents, subject


def simulate(work: Work, design: Design, contents: dict, folder: Path, simulator: Simulator, frames: int) -> Figures:
    """Verify ``frames`` frames; return the speed of the simulator."""
    outcome = verify(design, contents, folder, work.frames[:frames], simulator=simulator)
    if not outcome.passed:
        raise BenchmarkError(f"{work.name}, {folder.name}, {simulator}: differs from the prediction\n"
                             + "\n".join(map(str, outcome.differences)))
    unit = "cycles/s"
    return {f"{simulator}_cycles_per_s": (float(f"{outcome.cycles_per_second:.3g}"), unit)}


def measure_work(work: Work, folder: Path) -> list[Subject]:
    """Generate and verify all designs of ``work``, one after the other, so that times and speeds are undisturbed."""
    accuracy = check_golden(work)
    subjects = []
    for target in work.targets:
        design, contents, subject = generate(work, target, folder / f"{work.name}-{target or 'best'}")
        subject.figures["accuracy_percent"] = (accuracy, "%")
        subject.figures |= simulate(work, design, contents, subject.folder, "verilator", len(work.frames))
        for simulator, frames in work.simulators if not subjects else ():
            subject.figures |= simulate(work, design, contents, subject.folder, simulator, frames)
        subjects.append(subject)
    return subjects


def synthesise(subject: Subject) -> None:
    """Add the area on ECP5 to the figures of ``subject``."""
    cells = area.ecp5(subject.folder / f"{emit.TOP}.v", emit.TOP)
    if cells["mult"]:
        raise BenchmarkError(f"{subject.work}, {subject.name}: {cells['mult']} multipliers; there must be none")
    subject.figures |= {metric: (value, area.UNITS[metric]) for metric, value in cells.items()}
    subject.figures["lut4_eq_x_cycles"] = (round(subject.product), "LUT4-eq. x cycles")


def finish(subject: Subject) -> None:
    """Add the area on 7 series to the figures of ``subject``, the best of its work."""
    cells = area.xc7(subject.folder / f"{emit.TOP}.v", emit.TOP)
    subject.figures |= {metric: (value, area.UNITS[metric]) for metric, value in cells.items()}


def measure_array(folder: Path) -> Subject:
    """The area of the synaptic array alone."""
    cells = area.ecp5(array.write(folder), array.TOP)
    name = f"{array.INPUTS} inputs x {array.OUTPUTS} outputs x {array.STEPS} steps, {array.WEIGHT_BITS}-bit weights, causal"
    figures: Figures = {metric: (value, area.UNITS[metric]) for metric, value in cells.items()}
    return Subject("array", name, folder, figures | {
        "lut4_eq_per_op": (round(cells["lut4_eq"] / array.OPERATIONS, 2), "LUT4-eq. per synaptic operation per cycle")})


def measure(names: list[str], folder: Path, console: Console) -> list[Subject]:
    """The figures of all works in ``names``."""
    subjects: list[Subject] = []
    for name in [n for n in names if n in WORKS]:
        console.print(f"{name}: generate, simulate, compare every cycle")
        subjects += measure_work(WORKS[name](), folder)
    console.print(f"Yosys: {len(subjects)} designs")
    with ThreadPoolExecutor(2) as pool:
        rest = pool.submit(measure_array, folder) if "array" in names else None
        list(pool.map(synthesise, subjects))
        best = [min((s for s in subjects if s.work == name), key=lambda s: s.product) for name in names if name in WORKS]
        list(pool.map(finish, best))
        return [*subjects, rest.result()] if rest else subjects


def to_records(subjects: list[Subject]) -> list[Record]:
    """All figures as records."""
    return [Record(s.work, s.name, metric, value, unit, f"python -m benchmarks.run {s.work}")
            for s in subjects for metric, (value, unit) in s.figures.items()]


def show_changes(before: list[Record], after: list[Record], console: Console) -> None:
    """Print the figures that are not as before; speeds are those of this machine."""
    table = Table("work", "design", "metric", "before", "now", "now / before", title="Changes against results.json")
    for old, new, ratio in changes(before, after):
        table.add_row(new.work, new.design, new.metric, f"{old.value:,}", f"{new.value:,}", f"{ratio:.3f}")
    console.print(table if table.row_count else "No figure differs from results.json.")


def show(subjects: list[Subject], console: Console) -> None:
    """Print the figures of ``subjects``."""
    for subject in subjects:
        figures: Mapping[str, tuple[float, str]] = subject.figures
        console.print(f"[bold]{subject.work}[/bold] {subject.name}: "
                      + ", ".join(f"{metric} {value:,}" for metric, (value, _) in figures.items()))


def main(argv: list[str] | None = None) -> int:
    """Run the benchmarks; the exit status is not zero where a design fails its verification."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description="Measure the standing works.")
    names = [*WORKS, "array"]
    parser.add_argument("works", nargs="*", metavar="WORK", help=f"{', '.join(names)}; all without this argument")
    works = parser.parse_args(argv).works or names
    if unknown := set(works) - set(names):
        parser.error(f"no such work: {', '.join(sorted(unknown))}; choose from {', '.join(names)}")
    console = Console(width=160)
    start = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory() as folder:
            subjects = measure(works, Path(folder), console)
    except BenchmarkError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    before, after = read(), to_records(subjects)
    show(subjects, console)
    show_changes(before, after, console)
    kept = [r for r in before if r.tool == OURS and r.work not in works]
    write(sorted([*kept, *after], key=lambda r: names.index(r.work)) + published(), RESULTS)
    console.print(f"{len(after)} figures in {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
