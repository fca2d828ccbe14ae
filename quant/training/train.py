"""Training by a recipe: the phases of its method, one after the other, and what they gave.

The number of epochs is fixed by the recipe and the last state is taken: nothing is ever chosen by the test split, which
is only measured after each phase, for the report. The same recipe gives the same network on the same machine, also
where it was killed in between and continued from its checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import golden
from ..data import Dataset, is_folder, load
from ..files.folders import portable
from ..ir.network import Network
from ..methods.registry import phases_of
from ..models import build
from ..recipe import Recipe, RecipeError
from .checkpoint import Checkpoint
from .fit import Fit, Progress
from .report import Report
from .workers import joined

__all__ = ["Progress", "Report", "Trained", "train"]


@dataclass(frozen=True)
class Trained:
    """What a recipe gave: ``model`` (PyTorch), ``network``, ``networks`` (by rule for QCFS) and ``report``."""

    recipe: Recipe
    model: nn.Module
    network: Network
    networks: dict[str, Network]
    report: Report


def train(
    recipe: Recipe,
    *,
    data: Dataset | None = None,
    progress: Progress | None = None,
    tested: Callable[[int, int], None] | None = None,
    held_out: int | None = None,
    device: str = "auto",
    threads: int = 1,
    checkpoint: str | Path | None = None,
    restart: bool = False,
    notice: Callable[[str], None] | None = None,
) -> Trained:
    """Follow ``recipe``; ``data`` replaces the data set it names, ``held_out`` the number in it. Random numbers of the
    caller are left alone. ``device`` is "auto" (CUDA where there is any), "cpu" or "cuda". In processes that torchrun
    has started, all train together and all return the same; the first one alone writes and reports.

    ``threads`` are PyTorch's: one is fastest for networks as small as the digits', and on a busy machine by far; the
    order of float sums, and so the trained network, depends on it. ``checkpoint`` is a file that the training is
    continued from, where there is one, and kept in; it is the caller's to remove when the network is safe, and removed
    now with ``restart``. ``notice`` is called with a line about it; ``tested`` with (images done, all) while the golden
    model runs a network at the end. Raises RecipeError, and CheckpointError for the file of another training.
    """
    data = data or load(recipe.data)
    data = data if recipe.input_bits is None else data.with_bits(recipe.input_bits)
    held_out = recipe.held_out if held_out is None else held_out
    data = data.held_out(held_out) if held_out else data
    if len(data.train_x) < recipe.batch:
        raise RecipeError(
            f"Recipe: batch must be at most {len(data.train_x)}, the training images of {data.name}, not {recipe.batch}"
        )
    phases = phases_of(recipe)
    report = Report()
    with joined(device) as workers, _seeded(recipe.seed, threads):
        if recipe.batch % workers.size or recipe.batch < 2 * workers.size:
            raise RecipeError(f"Recipe: batch must be a multiple of the {workers.size} processes, not {recipe.batch}")
        if workers.rank:
            progress = notice = tested = None
        kept = Checkpoint(checkpoint)
        if restart:
            kept.remove()
            workers.meet()
        fit = Fit(recipe, data, report, checkpoint=kept, progress=progress, workers=workers,
                  watch=bool(held_out))  # fmt: skip
        if notice and fit.resumed:
            notice(f"continuing from {checkpoint}: {fit.resumed}")
        model = build(recipe.model, data.shape, data.classes, **recipe.model_args)
        trained, networks = phases(recipe, model, data, fit)
        for name, network in networks.items():
            mine = slice(workers.rank, None, workers.size)
            images, labels = data.test_x[mine], data.test_y[mine]
            (right,) = workers.sums([golden.accuracy(network, images, labels, progress=tested) * len(images)])
            report.accuracy[name] = round(right) / len(data.test_x)
    meta = {"recipe": json.dumps(followed(recipe)), "data": data.name, **report.meta()}
    networks = {name: replace(network, meta=meta | network.meta) for name, network in networks.items()}
    return Trained(recipe, trained, networks[recipe.network], networks, report)


def followed(recipe: Recipe) -> dict[str, Any]:
    """``recipe`` as a network file keeps it: names of data and files, for where they lie is of no use to others."""
    data = portable(recipe.data) if recipe.data.endswith(".npz") or is_folder(recipe.data) else recipe.data
    entries: dict[str, Any] = asdict(recipe) | {"data": data.partition(":")[0]}
    place, colon, name = recipe.model.rpartition(":")
    entries["model"] = f"{portable(place)}{colon}{name}" if colon else name
    if entries.get("tune"):
        entries["tune"] = portable(entries["tune"])
    for start in (entries.get("start"), (entries["distill"] or {}).get("start")):
        if start:
            start["file"] = portable(start["file"])
    return entries


@contextmanager
def _seeded(seed: int, threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)
