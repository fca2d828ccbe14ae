"""The whole chain in one go: train, convert, generate, simulate, verify, synthesise, report."""

from __future__ import annotations

import multiprocessing
import os
import time
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from . import api
from .commands.design import outcome_figures
from .console import Step, figures_of, percent
from .quant.data import load as load_data
from .quant.files.replacing import replacing
from .quant.recipe import read as read_recipe
from .reports.verified import Findings
from .reports.verified import write as write_report

__all__ = ["CHECKS", "RECIPE", "Check", "run"]

RECIPE = """\
# A small CNN on the 8x8 digits: 4 time steps, 4-bit weights, 4-bit pixels.
data = "digits"
model = "cnn"
method = "qcfs"
steps = 4
weight_bits = 4
rule = "causal"
batch = 64
shift = 1
seed = 0

[model_args]
channels = [8, 16]

[epochs]
float = 60
qcfs = 40
integers = 60
"""
"""The recipe built in; ``examples/digits.toml`` is the same."""


@dataclass(frozen=True)
class Check:
    """A simulation of the demo: at most ``frames`` test images, ``pauses`` the share of cycles paused at random."""

    simulator: str
    frames: int
    pauses: float


CHECKS = (Check("cocotb", 30, 0.3), Check("verilator", 300, 0.0), Check("amaranth", 3, 0.0))
"""What the demo simulates, the longest first."""


def run(folder: Path, recipe: Path | None, step: Step, checks: tuple[Check, ...] = CHECKS) -> dict[str, Any]:
    """Do everything in ``folder``; return a summary as JSON values, whose ``problems`` are empty where all is well."""
    seconds: dict[str, float] = {}
    followed = folder / "recipe.toml"
    if recipe is not None:
        read_recipe(recipe)
    text = RECIPE if recipe is None else recipe.read_text(encoding="utf-8")
    with replacing(followed) as path:
        path.write_text(text, encoding="utf-8")
    settings = read_recipe(followed)
    data = load_data(settings.data)

    with _timed(seconds, "training"):
        trained = api.train(settings, progress=lambda phase, done, total, figures: step(
            f"{phase}, {figures_of(figures)}", done, total))
        network = trained.network
        api.save(network, folder / "network.safetensors")
    with _timed(seconds, "generating"):
        design, contents = api.generate(network, folder / "design", progress=lambda what: step(what, 0, 0))
    with _timed(seconds, "simulation and synthesis"):
        checks = tuple(Check(c.simulator, min(c.frames, len(data.test_x)), c.pauses) for c in checks)
        verification, area = _measure(folder / "design", settings.data, checks, step)

    accuracy, lost = dict(trained.report.accuracy), trained.report.lost()
    problems = [f"{v['simulator']}: {v['differences'][0]}" for v in verification if not v["passed"]]
    for found in verification:
        if found["simulator"] == "verilator":
            images, labels = api.frames(network, settings.data, found["frames"]), data.test_y[: found["frames"]]
            golden = api.evaluate(network, images)["accuracy"]
            answers = np.array(found.pop("answers"))
            hardware = float((answers == labels).mean()) if len(answers) == len(labels) else 0.0
            name = f"golden model, {found['frames']} images"
            accuracy |= {name: golden, f"hardware, {found['frames']} images": hardware}
            lost[f"hardware, {found['frames']} images"] = golden - hardware
            if hardware < golden:
                problems.append(f"the hardware reaches {percent(hardware)}, the golden model {percent(golden)}")

    report, bits = folder / "report.html", network.input.high.bit_length()
    with _timed(seconds, "report"):
        step("report", 0, 0)
        write_report(report, Findings(
            title=f"Spikeloom on {settings.data}: {settings.model}, {settings.kind}", design=design,
            contents=contents, image=data.with_bits(bits).test_x[0].reshape(network.input.shape),
            label=int(data.test_y[0]), accuracy=accuracy, lost=lost, verification=verification, area={"ECP5": area},
            seconds=seconds, commands=_commands(folder, settings.data, checks), problems=problems,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            links={"Verilog": f"design/{contents['verilog']}", "design.json": "design/design.json", "folder": "design/",
                   "network file": "network.safetensors", "recipe": "recipe.toml"}))
    return {"passed": not problems, "problems": problems, "accuracy": accuracy, "lost": lost,
            "verification": verification, "area": area, "latency_cycles": contents["predicted"]["latency_cycles"],
            "interval_cycles": contents["predicted"]["interval_cycles"], "folds": contents["folds"],
            "network_hash": network.hash, "verilog_sha256": contents["verilog_sha256"],
            "seconds": {phase: round(s, 2) for phase, s in seconds.items()}, "report": report}


def _measure(design: Path, data: str, checks: tuple[Check, ...],
             step: Step) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Simulate and synthesise, each in a process of its own, as many at once as there are cores."""
    workers = min(len(checks) + 1, max(1, os.cpu_count() or 1))
    total = len(checks) + 1
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        runs = [pool.submit(_verify, design, data, check) for check in checks]
        synthesis = pool.submit(_synthesise, design)
        waiting: set[Future[Any]] = {*runs, synthesis}
        step("simulation and synthesis", 0, total)
        while waiting:
            done, waiting = wait(waiting, return_when="FIRST_COMPLETED")
            for future in done:
                future.result()
            step("simulation and synthesis", total - len(waiting), total)
        return [future.result() for future in runs], synthesis.result()


def _verify(design: Path, data: str, check: Check) -> dict[str, Any]:
    from .gen.emit.writer import read

    made, _ = read(design)
    images = api.frames(made.network, data, check.frames)
    start = time.perf_counter()
    outcome = api.verify(design, images.pixels, simulator=check.simulator, pauses=check.pauses)
    figures = outcome_figures(outcome)
    if check.simulator == "verilator":
        figures["answers"] = outcome.answers.tolist()
    return {**figures, "pauses": check.pauses, "wall_seconds": round(time.perf_counter() - start, 2)}


def _synthesise(design: Path) -> dict[str, int]:
    from .gen.emit.writer import read
    from .gen.targets.fpga.synth import synthesise

    return synthesise(design, read(design)[1], "ecp5")


def _commands(folder: Path, data: str, checks: tuple[Check, ...]) -> list[str]:
    network, design = folder / "network.safetensors", folder / "design"
    verifications = [f"spikeloom verify {design} --data {data} -n {c.frames} --simulator {c.simulator}"
                     + (f" --pauses {c.pauses}" if c.pauses else "") for c in checks]
    return [f"spikeloom train {folder / 'recipe.toml'} -o {network}", f"spikeloom eval {network} --data {data}",
            f"spikeloom generate {network} -o {design}", *verifications, f"spikeloom synth {design} --device ecp5"]


@contextmanager
def _timed(seconds: dict[str, float], phase: str):
    start = time.perf_counter()
    yield
    seconds[phase] = time.perf_counter() - start
