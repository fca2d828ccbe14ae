"""Measure the standing works: generate, verify every cycle, synthesise, and put da4ml and the trained networks beside.

A figure is given only for a design that passed: every word in every cycle on every boundary equals the prediction
for all test frames, so that the cycles are those of the RTL, and the logits are those of the golden model.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from spikeloom.explore.figures import operations
from spikeloom.gen.cost.model import area, total
from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.find import auto
from spikeloom.gen.folding.fold import read_folds
from spikeloom.quant import golden
from spikeloom.quant.data import DataError
from spikeloom.sim.verify import Simulator, verify

from . import accuracy, array, cost, cost_designs, da4ml_design, exploration, regression, spiking
from .subject import UNITS, BenchmarkError, Subject, add_area, add_clock, add_xc7
from .works import WORKS, Work

__all__ = ["measure", "measure_da4ml"]

ARRAY: tuple[str, float, int, dict[str, Any]] = ("85k", 160.0, 8, {"floorplan": True})
"""Device, clock that is asked for, seeds and options of :func:`place` of the array."""

DA4ML = ("A", "B")
"""The works that da4ml is measured on."""


def check_golden(work: Work) -> float | None:
    """The accuracy of the golden model in percent, None without labels; its logits must be those that came with the
    work."""
    logits = golden.run(work.network, work.frames)[work.network.nodes[-1].name]
    if work.logits is not None and not np.array_equal(logits, work.logits):
        raise BenchmarkError(f"{work.name}: the logits are not those of the workload")
    return None if work.labels is None else round(100 * float((logits.argmax(1) == work.labels).mean()), 2)


def generate(work: Work, target: int | None, folder: Path) -> tuple[Design, Subject]:
    """Generate the design for ``target`` cycles into ``folder``."""
    start = time.perf_counter()
    folds = read_folds(work.folds) if work.folds else auto(work.network, target)
    design = Design(work.network, folds)
    contents = emit.write(design, folder)
    seconds = time.perf_counter() - start
    # Where words are skipped, cycles are means over the work's frames.
    predicted = emit.performance(design, work.frames if design.sparse else None)
    busiest = max(stage["utilisation"] for stage in predicted["stages"].values())
    return design, Subject(
        work.name,
        work.design or ("best product" if target is None else f"{target} cycles"),
        folder,
        contents,
        {
            "cycles_per_frame": (round(predicted["interval"], 1), "cycles"),
            "latency_cycles": (predicted["latency"], "cycles"),
            "generate_seconds": (round(seconds, 2), "s"),
            "bottleneck_percent": (round(100 * busiest, 2), "% of cycles"),
        },
        placed=(work.device, work.megahertz, work.seeds, work.placing) if work.device else None,
        xc7=work.xc7,
        multipliers=total(area(element.spec) for element in design.elements).mult,
        operations=sum(operations(n) // (n.steps if n.source.timed else 1) for n in design.layers),
    )


def simulate(work: Work, design: Design, subject: Subject, simulator: Simulator, frames: int) -> None:
    """Verify ``frames`` frames; add the speed of the simulator to the figures."""
    # Once to build the simulation, and once to measure it.
    for count in (1, frames):
        outcome = verify(design, subject.contents, subject.folder, work.frames[:count], simulator=simulator)
        if not outcome.passed:
            raise BenchmarkError(
                f"{work.name}, {subject.name}, {simulator}: differs from the prediction\n"
                + "\n".join(map(str, outcome.differences))
            )
        subject.figures[f"{simulator}_cycles_per_s"] = (float(f"{outcome.cycles_per_second:.2g}"), "cycles/s")


def measure_work(work: Work, folder: Path) -> list[Subject]:
    """Generate and verify all designs of ``work``, one after the other, so that times and speeds are undisturbed."""
    accuracy = check_golden(work)
    subjects = []
    for target in work.targets:
        design, subject = generate(work, target, folder / f"{work.name}-{target or 'best'}")
        if accuracy is None:
            subject.missing["accuracy_percent"] = "the data set is not here (SPIKELOOM_DATA), the frames are random"
        else:
            subject.figures["accuracy_percent"] = (accuracy, "%")
        simulate(work, design, subject, "verilator", len(work.frames))
        for simulator, frames in work.simulators if not subjects else ():
            simulate(work, design, subject, simulator, frames)
        subjects.append(subject)
    return subjects


def measure_array(folder: Path) -> Subject:
    """The area of the synaptic array alone; its clock is asked to be 160 MHz."""
    name = f"{array.INPUTS} inputs x {array.OUTPUTS} outputs x {array.STEPS} steps, {array.WEIGHT_BITS}-bit weights"
    subject = Subject("array", name, folder, array.write(folder), {}, placed=ARRAY)
    add_area(subject)
    subject.figures["lut4_eq_per_op"] = (
        round(subject.figures["lut4_eq"][0] / array.OPERATIONS, 2),
        "LUT4-eq. per synaptic operation per cycle",
    )
    return subject


def measure_cost(folder: Path, console: Console) -> list[Subject]:
    """The area of the designs of the cost model, by the model and by Yosys."""
    console.print(f"cost: {len(cost_designs.NAMES)} designs, the cost model against Yosys")

    def compared(name: str) -> Subject:
        found = cost.compare(name, Path(tempfile.mkdtemp(dir=folder)))
        if not found.same_memories:
            raise BenchmarkError(f"cost, {name}: memories {found.model}, counted {found.counted}; they must be equal")
        subject = Subject("cost", name, folder, {}, {})
        subject.add(found.counted._asdict())
        subject.figures |= {f"{k}_model": (round(v), UNITS[k]) for k, v in found.model._asdict().items()}
        subject.figures |= {f"{k}_error_percent": (found.percent(k), "%") for k in ("lut4_eq", "ff")}
        return subject

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(compared, cost_designs.NAMES))


def measure_accuracy(networks: Sequence[str], console: Console) -> list[Subject]:
    """The committed networks, or those of these names, on their test splits, where the data are here."""
    subjects = []
    for network in accuracy.trained():
        if networks and network.name not in networks:
            continue
        console.print(f"accuracy: {network.name}")
        subject = Subject("accuracy", network.name, network.path.parent, {}, {})
        if why := accuracy.reason(network):
            subject.missing["accuracy_percent"] = why
        else:
            subject.figures |= accuracy.measure(network)
        subjects.append(subject)
    return subjects


def measure_regression(name: str, folder: Path, console: Console) -> list[Subject]:
    """The bulk verification, or the designs after synthesis."""
    console.print(f"{name}: verify")
    try:
        if name == "bulk":
            found = {f"digits, {regression.FRAMES:,} frames": regression.bulk(folder / name)}
        else:
            works = regression.NETLISTS.items()
            found = {k: v for n, t in works for k, v in regression.netlist(n, t, folder / f"netlist-{n}").items()}
    except regression.RegressionError as error:
        raise BenchmarkError(str(error)) from None
    return [Subject(name, design, folder, {}, figures) for design, figures in found.items()]


def measure_exploration(folder: Path, console: Console) -> list[Subject]:
    """The exploration: fronts, frame rates, points simulated and synthesised."""
    console.print("explore: fronts, frame rates, random points, synthesis")
    try:
        found = exploration.measure(folder)
    except exploration.ExplorationError as error:
        raise BenchmarkError(str(error)) from None
    return [Subject("explore", what, folder, {}, figures) for what, figures in found.items()]


def measure_spiking(folder: Path, console: Console) -> list[Subject]:
    """The checkpoints of ``spiking`` as spiking and as quantised designs."""
    subjects = []
    for name, chosen in spiking.SUBJECTS.items():
        console.print(f"spiking: {name}")
        try:
            for form, figures in spiking.compare(chosen, folder / f"spiking-{name}"):
                subjects.append(Subject("spiking", f"{name}, {form}", folder, {}, figures))
        except DataError as error:
            missing = {"accuracy_percent": str(error)}
            subjects.append(Subject("spiking", name, folder, {}, {}, missing=missing))
        except spiking.SpikingError as error:
            raise BenchmarkError(str(error)) from None
    return subjects


def measure_da4ml(work: Work, folder: Path, environment: Path) -> Subject:
    """da4ml's design of ``work``, checked like ours; where da4ml is not to be had, a subject that says why."""
    subject = Subject(work.name, da4ml_design.DESIGN, folder, {}, {}, da4ml_design.TOOL)
    try:
        python = da4ml_design.environment(environment)
        subject.contents = da4ml_design.generate(work, folder, python)
    except da4ml_design.Da4mlError as error:
        subject.missing["lut4_eq"] = str(error)
        return subject
    logits = golden.run(work.network, work.frames, keep=()).logits
    outcome = da4ml_design.simulate(subject.contents, folder, work.frames, logits)
    subject.figures |= {
        "same_integers": (float(outcome.same == len(logits)), "1 = yes, 0 = no"),
        "same_frames": (outcome.same, f"of {len(logits)} frames"),
        "cycles_per_frame": (outcome.interval, "cycles"),
        "latency_cycles": (outcome.latency, "cycles"),
    }
    subject.missing["mhz"] = da4ml_design.NOT_PLACED
    return subject


def measure(
    names: list[str], networks: Sequence[str], folder: Path, console: Console, jobs: int = 2
) -> list[Subject]:
    """The figures of all works in ``names``; ``networks`` as :func:`measure_accuracy` takes them; ``jobs`` placements
    are made at once."""
    subjects: list[Subject] = []
    regressions = [s for n in ("bulk", "netlist") if n in names for s in measure_regression(n, folder, console)]
    for name in [n for n in names if n in WORKS]:
        console.print(f"{name}: generate, simulate, compare every cycle")
        subjects += measure_work(WORKS[name](), folder)
    others = []
    for name in DA4ML if "da4ml" in names else ():
        console.print(f"{name}: da4ml")
        others.append(measure_da4ml(WORKS[name](), folder / f"{name}-da4ml", da4ml_design.ENVIRONMENT))
    console.print(f"Yosys: {len(subjects) + len(others)} designs")
    with ThreadPoolExecutor(2) as pool:
        # The longest first.
        theirs = [pool.submit(add_area, s) for s in reversed(others) if s.contents]
        rest = pool.submit(measure_array, folder) if "array" in names else None
        list(pool.map(add_area, subjects))
        best = {s.work: s for s in sorted(subjects, key=lambda s: -s.product)}
        xc7 = [pool.submit(add_xc7, subject) for subject in best.values() if subject.xc7]
        for job in [*theirs, *xc7]:
            job.result()
    for subject in [*best.values(), *([rest.result()] if rest else [])]:
        if subject.placed:
            console.print(f"{subject.work}: nextpnr, {subject.placed[2]} seeds")
            add_clock(subject, jobs)
    subjects = [*subjects, *others, *([rest.result()] if rest else [])]
    subjects += measure_cost(folder, console) if "cost" in names else []
    subjects += regressions
    subjects += measure_exploration(folder, console) if "explore" in names else []
    subjects += measure_spiking(folder, console) if "spiking" in names else []
    return [*subjects, *(measure_accuracy(networks, console) if "accuracy" in names else ())]
