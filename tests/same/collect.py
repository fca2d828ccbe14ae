"""Everything that comes out of a tree of the sources, as hashes: ``python -m tests.same`` runs it once for the sources
as they are, and once for those of a commit.

Usage: collect.py TREE CASES OUT [--full] [--prepare]. TREE holds the files of a commit; the package ``spikeloom`` is
found by PYTHONPATH, and is checked to be that of TREE. CASES is a folder of random networks with their folds, and of a
checkpoint: made with ``--prepare``, else read. OUT is the JSON file that is written.

It calls what every commit keeps: ``spikeloom.api``, ``quant.golden``, ``quant.recipe``, ``quant.models``, ``Design``,
and the file formats.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

Record = dict[str, str]
HERE = Path(__file__).resolve().parent
RANDOM = 30
"""Random networks."""

FRAMES = 2
QUICK = ("cifar-resnet20-t4w4", "digits-t4w4", "fashion-qcfs-t4w4", "mnist-integernet-w4a4")
"""Networks under models/ whose Verilog is compared without ``--full``; of the others the golden outputs are."""

FOLDS = {
    "cifar-resnet20-training-free": ["folds/resnet20_pooled.toml"],
    "cifar-resnet20-t4w4": ["folds/resnet20.toml", "folds/resnet20_skip.toml"],
    "cifar-resnet20": ["folds/resnet20.toml"],
    "digits": ["folds/digits.toml"],
    "fashion": ["folds/fashion.toml"],
    "mnist": ["folds/mnist.toml"],
}
"""Fold files by how the name of a network begins, the first that fits: all stages, so that nothing is searched for."""

SEARCHES = {"digits-t4w4": {"cycles": 2000}, "fashion-qcfs-t4w4": {"device": "25k"}}
"""What the search is asked for with ``--full``."""

COMMON = {"data": "digits", "seed": 3}
PLAIN = {"model": "cnn", "model_args": {"channels": [4, 6]}, "batch": 100}
RECIPES: dict[str, dict[str, Any]] = {
    "qcfs": PLAIN | {"steps": 4, "weight_bits": 4, "rule": "causal", "epochs": {"float": 2, "qcfs": 1, "integers": 1}},
    "dual_phase": PLAIN | {"steps": 4, "weight_bits": 4, "rule": "causal",
                           "epochs": {"clip": 2, "noisy": 1, "integers": 1},
                           "calibration": {"images": 200, "held_out": 100, "epochs": 1}},
    "fast_snn": PLAIN | {"bits": [4, 2], "weight_bits": [4, 4], "epochs": [2, 1], "rates": [0.02, 0.02],
                         "tuning": {"images": 200, "held_out": 100, "epochs": 1}},
    "spiking_resnet": PLAIN | {"steps": 8, "weight_bits": 8, "images": 200, "compensation": 20, "factors": [0.8, 1.0]},
    "integernet": PLAIN | {"bits": 4, "epochs": 2},
    "ptq values": PLAIN | {"form": "values", "images": 200},
    "ptq spikes": PLAIN | {"form": "spikes", "steps": 7, "images": 200},
}
"""A short training by each method, the first word, on the digits."""


@dataclass(frozen=True)
class Task:
    """Something to collect: a ``name``, and the call that gives its record."""

    name: str
    call: Callable[..., Record]
    args: tuple[Any, ...]


def digest(*parts: bytes | str) -> str:
    """A hash of ``parts``."""
    found = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        found.update(len(data).to_bytes(8, "little") + data)
    return found.hexdigest()[:20]


def of_arrays(arrays: dict[str, Any]) -> str:
    """A hash of arrays by name, whatever the width of their integers."""
    parts: list[bytes | str] = []
    for name, values in arrays.items():
        array = np.ascontiguousarray(np.asarray(values).astype(np.int64))
        parts += [name, repr(array.shape), array.tobytes()]
    return digest(*parts)


def nameless(verilog: str) -> str:
    """``verilog`` without comments, its identifiers numbered in the order in which they come."""
    numbers: dict[str, str] = {}
    text = re.sub(r"//[^\n]*", "", verilog)
    return re.sub(r"(?<![\w'])[A-Za-z_]\w*|\\\S+", lambda m: numbers.setdefault(m[0], f"n{len(numbers)}"), text)


def frames_of(network: Any) -> np.ndarray:
    """Frames for ``network``, the same whatever code runs."""
    shape = (FRAMES, *network.input.shape)
    return np.random.default_rng(7).integers(0, network.input.high + 1, shape)


def outputs(path: Path) -> Record:
    """Hash of a network and what the golden model makes of frames."""
    from spikeloom import api
    from spikeloom.quant import golden

    network = api.load(path)
    return {"hash": network.hash, "golden": of_arrays(golden.run(network, frames_of(network)).outputs)}


def generated(path: Path, options: dict[str, Any]) -> Record:
    """All that ``generate`` writes, the words by the core models and the cycles by the law."""
    from spikeloom import api

    network = api.load(path)
    with tempfile.TemporaryDirectory(prefix="same-") as name:
        design, contents = api.generate(network, name, **options)
        found: Record = {}
        for file in sorted(Path(name).iterdir()):
            if file.name == "design.json":
                kept = {key: value for key, value in json.loads(file.read_text()).items() if key != "tools"}
                found[file.name] = digest(json.dumps(kept, sort_keys=True))
            else:
                found[file.name] = digest(file.read_bytes())
        found["names aside"] = digest(nameless((Path(name) / contents["verilog"]).read_text()))
    found["core models"] = of_arrays(design.compute(frames_of(network)))
    found["cycles"] = of_arrays(design.free_run.transfers)
    return found


def recipe_of(name: str, folder: Path) -> Any:
    """The recipe of a short training of that ``name``; weights that it starts from are random ones in ``folder``."""
    import torch

    from spikeloom.quant.models import build
    from spikeloom.quant.recipe import filled

    method = name.split()[0]
    entries: dict[str, Any] = COMMON | {"method": method} | RECIPES[name]
    if method in ("spiking_resnet", "ptq"):
        torch.manual_seed(5)
        file = folder / "start.pt"
        torch.save(build("cnn", (1, 8, 8), 10, **entries["model_args"]).state_dict(), file)
        entries["start"] = {"file": str(file)}
    return filled(method, entries)


def weights_of(trained: Any) -> Record:
    """Hashes of what a training gave."""
    import torch

    state = trained.model.state_dict()
    parts: list[bytes | str] = []
    for key, value in state.items():
        parts += [key, torch.atleast_1d(value.detach()).contiguous().view(torch.uint8).numpy().tobytes()]
    return {"network": trained.network.hash, "weights": digest(*parts)}


class Stop(Exception):
    """A training is broken off."""


def trained(method: str, half: Path | None) -> Record:
    """A short training; ``half``: its checkpoint of half way, where it goes on."""
    from spikeloom import api

    told: list[str] = []
    with tempfile.TemporaryDirectory(prefix="same-") as name:
        recipe, checkpoint = recipe_of(method, Path(name)), Path(name) / "checkpoint"
        if half is None:
            return weights_of(api.train(recipe))
        shutil.copyfile(half, checkpoint)
        found = weights_of(api.train(recipe, checkpoint=checkpoint, notice=told.append))
    if not any("continuing" in line for line in told):
        raise RuntimeError(f"the training did not go on from its checkpoint: {told}")
    return found


def leave_half(method: str, half: Path) -> None:
    """Write the checkpoint of a training that was broken off in its second phase."""
    from spikeloom import api

    phases: list[str] = []

    def progress(phase: str, done: float, _epochs: int, _figures: dict[str, float]) -> None:
        if phase not in phases:
            phases.append(phase)
        if len(phases) == 2:
            raise Stop

    with tempfile.TemporaryDirectory(prefix="same-") as name:
        checkpoint = Path(name) / "checkpoint"
        try:
            api.train(recipe_of(method, Path(name)), checkpoint=checkpoint, progress=progress)
        except Stop:
            shutil.copyfile(checkpoint, half)


def draw(tree: Path, cases: Path) -> None:
    """Write random networks with random folds, as the tests of ``tree`` draw them."""
    from hypothesis import HealthCheck, Phase, given, seed, settings

    from spikeloom import api

    sys.path.insert(0, str(tree / "tests"))
    import random_networks

    drawn: list[Any] = []

    @seed(1)
    @settings(max_examples=RANDOM, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(random_networks.designs())
    def run(design: Any) -> None:
        drawn.append(design)

    run()
    for k, design in enumerate(drawn[:RANDOM]):
        api.save(design.network, cases / f"random{k}.safetensors")
        (cases / f"random{k}.toml").write_text(toml(design.folds))
        (cases / f"random{k}.json").write_text(json.dumps({"counts": design.counts}))


def toml(folds: dict[str, Any]) -> str:
    """A fold file."""
    keys = ("outputs", "inputs", "steps", "skip", "logic")
    return "".join(
        f"[{json.dumps(name)}]\n" + "".join(f"{key} = {json.dumps(getattr(fold, key))}\n" for key in keys)
        for name, fold in folds.items()
    )


def tasks(tree: Path, cases: Path, full: bool) -> list[Task]:
    """What is collected, the longest first."""
    found: list[Task] = []
    for path in sorted((tree / "models").glob("*.safetensors")):
        found.append(Task(path.stem, outputs, (path,)))
        if full or path.stem in QUICK:
            files = next(files for start, files in FOLDS.items() if path.stem.startswith(start))
            for file in files if full else files[:1]:
                found.append(Task(f"{path.stem} {Path(file).stem}", generated, (path, {"fold": HERE / file})))
        if full and path.stem in SEARCHES:
            found.append(Task(f"{path.stem} search", generated, (path, SEARCHES[path.stem])))
    found.sort(key=lambda task: "resnet20 " not in task.name + " ")
    for path in sorted(cases.glob("random*.safetensors")):
        options = json.loads(path.with_suffix(".json").read_text()) | {"fold": path.with_suffix(".toml")}
        found += [Task(path.stem, outputs, (path,)), Task(f"{path.stem} design", generated, (path, options))]
    for method in RECIPES:
        found.append(Task(f"train {method}", trained, (method, None)))
    found.append(Task("resume qcfs", trained, ("qcfs", cases / "half")))
    return found


def done(task: Task) -> tuple[str, Record]:
    """The record of a task."""
    try:
        return task.name, task.call(*task.args)
    except Exception as error:  # an error is an outcome too, and the other tasks go on
        return task.name, {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Collect."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tree", type=Path)
    parser.add_argument("cases", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    import spikeloom.hdl

    where = Path(spikeloom.hdl.__file__).resolve()
    if not where.is_relative_to(options.tree.resolve()):
        raise SystemExit(f"The package is that of {where}, not of {options.tree}")
    if options.prepare:
        options.cases.mkdir(parents=True, exist_ok=True)
        draw(options.tree, options.cases)
        leave_half("qcfs", options.cases / "half")
    todo, records = tasks(options.tree, options.cases, options.full), {}
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        for name, record in pool.map(done, todo):
            records[name] = record
            sys.stdout.write(f"{len(records)} {len(todo)} {name}\n")
            sys.stdout.flush()
    options.out.write_text(json.dumps(records, indent=1))


if __name__ == "__main__":
    main()
