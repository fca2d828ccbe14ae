"""Checkpoints: a training goes on from them, or refuses them and says how to begin again."""

from __future__ import annotations

import io
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fuzzing import ODD_VALUES, Format, changed, few, many, mixed, places
from torch import nn

from spikeloom.quant.data import Dataset
from spikeloom.quant.recipe import IntegerNetRecipe
from spikeloom.quant.training.checkpoint import Checkpoint
from spikeloom.quant.training.fit import Fit
from spikeloom.quant.training.report import Report

RECIPE = IntegerNetRecipe(data="own", model="mlp", bits=4, epochs=3, batch=4, average=0.5)
IMAGES = np.random.default_rng(0).integers(0, 4, (8, 1, 2, 2)).astype(np.uint8)
DATA = Dataset("own", IMAGES, np.arange(8) % 3, IMAGES[:3], np.arange(3), 3)
TENSORS = (
    torch.zeros(3), torch.zeros(3, 4), torch.zeros((), dtype=torch.int64), torch.zeros(0),
    torch.zeros(9, dtype=torch.uint8),
)  # fmt: skip


class Stopped(Exception):
    """Ends a training after an epoch."""


def follow(path: Path, stop: bool = False) -> None:
    """A training of two steps and, in between, an accuracy."""
    with torch.random.fork_rng():
        torch.manual_seed(0)

        def progress(name: str, done: float, total: int, figures: dict[str, float]) -> None:
            if stop and name == "b" and done == 2:
                raise Stopped

        fit = Fit(RECIPE, DATA, Report(), checkpoint=Checkpoint(path), progress=progress)
        for name in ("a", "b"):
            model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3))
            fit(model, name, 3, torch.optim.AdamW(model.parameters(), 0.01), lambda share: 1 - share)
            fit.measure(name, model)


@cache
def whole() -> bytes:
    """The checkpoint of such a training that was stopped in its second step."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c"
        with pytest.raises(Stopped):
            follow(path, stop=True)
        return path.read_bytes()


def write(rng: np.random.Generator, folder: Path) -> Path:
    """The checkpoint with a few changes: of its bytes, of its parts, or of its identity."""
    path, data = folder / "c.checkpoint", whole()
    if rng.integers(4):
        state: dict[str, Any] = torch.load(io.BytesIO(data), weights_only=True)
        if not rng.integers(4):
            identity = state["identity"]
            odd = [changed(rng, identity["recipe"].encode()).decode(errors="replace"),
                   json.dumps(mixed(rng, json.loads(identity["recipe"]))), "[" * 9_000]  # fmt: skip
            identity[["recipe", "data", "version"][int(rng.integers(3))]] = odd[int(rng.integers(3))]
        for _ in range(int(rng.integers(1, 3))):
            depth = int(rng.integers(1, 6))
            found = [place for place in places(state) if len(place[0]) == depth] or list(places(state))
            _, holder, key = found[int(rng.integers(len(found)))]
            choices = (*ODD_VALUES[:-1], *TENSORS)
            if rng.integers(4):
                holder[key] = choices[int(rng.integers(len(choices)))]
            else:
                del holder[key]
        torch.save(state, path)
    else:
        path.write_bytes(changed(rng, data))
    return path


FORMATS = {"checkpoint": Format(write, follow)}


def test_a_few_inputs() -> None:
    few(FORMATS["checkpoint"], 25)


@pytest.mark.slow
def test_many_inputs() -> None:
    many(__file__, "checkpoint")
