"""What torchrun starts in test_workers: trains ten patterns by two methods; each process leaves what it has in FOLDER.

Usage: two_workers.py FOLDER
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from patterns import patterns
from torch import nn

from spikeloom.quant.recipe import Distill, Epochs, IntegerNetRecipe, QcfsRecipe, Rates
from spikeloom.quant.training.train import train
from spikeloom.quant.training.workers import joined

RECIPES = {
    "qcfs": QcfsRecipe(
        data="digits",
        model="resnet",
        model_args={"depth": 8, "width": 4},
        steps=2,
        weight_bits=4,
        batch=50,
        shift=1,
        flip=True,
        erase=2,
        optimiser="sgd",
        distill=Distill(weight=0.5, temperature=2.0),
        rates=Rates(float=0.1, qcfs=0.1),
        epochs=Epochs(float=5, qcfs=3, integers=1),
    ),
    "integernet": IntegerNetRecipe(data="digits", model="mlp", bits=4, batch=50, epochs=4),
}


def gradient() -> torch.Tensor:
    """Of a linear model and a batch of 8, which the processes share."""
    torch.manual_seed(0)
    model, x = nn.Linear(5, 3), torch.randn(8, 5)
    with joined("cpu") as workers:
        shared = workers.wrapped(model)  # to be kept until the gradients are there
        shared(workers.share(x)).square().mean().backward()
    assert model.weight.grad is not None
    return model.weight.grad


def main(folder: Path) -> None:
    """See the head of this file."""
    rank = os.environ.get("RANK", "alone")
    found: dict[str, Any] = {"gradient": gradient()}
    for method, recipe in RECIPES.items():
        calls: list[tuple[str, float]] = []
        trained = train(
            recipe,
            data=patterns(),
            device="cpu",
            checkpoint=folder / f"{method}.checkpoint",
            progress=lambda phase, done, epochs, figures, calls=calls: calls.append((phase, done)),
        )
        found[method] = {"model": trained.model.state_dict(), "hash": trained.network.hash, "calls": len(calls)}
        found[method]["accuracy"] = trained.report.accuracy
    torch.save(found, folder / f"{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
