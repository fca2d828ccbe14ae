"""The exploration: how fast its exact fronts are, predicted cycles against simulated ones, the cost model's error."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from spikeloom import api
from spikeloom.explore.explore import explore
from spikeloom.explore.options import Options
from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.front import front
from spikeloom.gen.folding.space import Space
from spikeloom.sim.verify import verify

from .works import MODELS

__all__ = ["CYCLE_POINTS", "RATES", "SPACES", "SYNTHESISED", "ExplorationError", "Figures", "measure"]

Figures = dict[str, tuple[float, str]]
"""Value and unit by metric."""

SPACES = ("digits-t4w4", "mnist-qcfs-t4w4", "cifar-resnet20-t4w4")
"""Networks whose whole fronts are searched."""

RATES = (10, 30, 60, 120, 240, 480, 1_000, 2_000, 4_000, 5_000)
"""Frames a second for each of which the smallest ResNet-20 is found, on an LFE5U-85F at 100 MHz."""

DRAWN = 200_000
"""Designs evaluated at once for their number a second."""

CYCLE_POINTS = 30
"""Designs drawn at random and simulated."""

SYNTHESISED = 30
"""Points of the front that are synthesised."""

LARGEST = 8_000
"""LUTs at most of a design that is simulated: the larger ones take minutes to build."""


class ExplorationError(RuntimeError):
    """A design that differs from its prediction."""


def _space(name: str) -> Figures:
    network = api.load(MODELS / f"{name}.safetensors")
    start = time.perf_counter()
    space = Space(network)
    built = time.perf_counter()
    found = front(space.arcs, space.steps.tolist())
    searched = time.perf_counter()
    choices = space.random(DRAWN)
    drawn = time.perf_counter()
    space.evaluate(choices)
    evaluated = time.perf_counter() - drawn
    return {
        "designs": (float(space.designs), "designs"),
        "front": (len(found.points), "designs that no other beats in cycles, LUTs and block RAMs"),
        "table_seconds": (round(built - start, 2), "s"),
        "front_seconds": (round(searched - built, 2), "s"),
        "labels": (found.evaluated, "partial designs looked at"),
        "designs_per_s": (float(f"{DRAWN / evaluated:.2g}"), "designs/s, cycles and cost"),
    }


def _explored(folder: Path) -> Figures:
    network = MODELS / "digits-t4w4.safetensors"
    start = time.perf_counter()
    found = explore([network], Options(data="digits", images=297, workers=2), folder / "digits")
    return {
        "points": (len(found["points"]), "points with their cycles by the cycle law"),
        "explore_seconds": (round(time.perf_counter() - start, 1), "s, 2 workers, both forms, latency, accuracy"),
    }


def _rates(folder: Path) -> Figures:
    network = MODELS / "cifar-resnet20-t4w4.safetensors"
    start = time.perf_counter()
    options = Options(device="ecp5-85k", fps=tuple(map(float, RATES)), form="counts", workers=2)
    found = explore([network], options, folder / "resnet20")
    seconds = time.perf_counter() - start
    figures: Figures = {"rates_seconds": (round(seconds, 1), f"s for {len(RATES)} frame rates, 2 workers")}
    for point in found["points"]:
        figures[f"luts_at_{point['asked_fps']:.0f}"] = (round(point["luts"]), f"LUTs, {point['interval']:,} cycles")
    return figures


def _cycles() -> Figures:
    network = api.load(MODELS / "digits-t4w4.safetensors")
    space, frames = Space(network), api.frames(network, "digits", 5).pixels
    choices = space.random(20 * CYCLE_POINTS, seed=1)
    small = choices[space.evaluate(choices)[1][:, 0] <= LARGEST][:CYCLE_POINTS]
    cycles = 0
    for chosen in small:
        design = Design(network, space.folds(chosen))
        with tempfile.TemporaryDirectory() as name:
            outcome = verify(design, emit.write(design, name), Path(name), frames)
        if not outcome.passed:
            raise ExplorationError(f"{space.folds(chosen)}: differs from the prediction")
        cycles += outcome.cycles
    return {
        "simulated": (len(small), "designs drawn at random, every word of every cycle as predicted"),
        "simulated_cycles": (cycles, "cycles"),
    }


def _synthesis(folder: Path) -> Figures:
    options = Options(synthesize=SYNTHESISED, place=False, trials=0, workers=2)
    found = explore([MODELS / "digits-t4w4.safetensors"], options, folder / "synthesis")["cost_model"]
    units = "% of Yosys's LUTs"
    return {
        "synthesised": (found["points"], "points of the front, spread over it"),
        "error_median_percent": (found["lut_median_percent"], units),
        "error_worst_percent": (found["lut_worst_percent"], units),
        "scale": (found["scale"], "factor found from them"),
        "calibrated_median_percent": (found["calibrated_median_percent"], units),
        "calibrated_worst_percent": (found["calibrated_worst_percent"], units),
        "ff_worst_percent": (found["ff_worst_percent"], "% of Yosys's flip-flops"),
        "ebr_equal": (found["ebr_equal"], "points with the block RAMs that Yosys makes"),
    }


def measure(folder: Path) -> dict[str, Figures]:
    """All figures, by what was explored. Raises ExplorationError where a simulation is not as predicted."""
    found = {name: _space(name) for name in SPACES}
    with tempfile.TemporaryDirectory(dir=folder) as name:
        found["digits, explore"] = _explored(Path(name))
        found["ResNet-20, frame rates"] = _rates(Path(name))
        found["digits, random points"] = _cycles()
        found["digits, synthesis"] = _synthesis(Path(name))
    return {what: {key: (float(np.round(v, 4)), u) for key, (v, u) in f.items()} for what, f in found.items()}
