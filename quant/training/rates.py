"""Optimisers and learning rates of the phases."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

__all__ = ["groups", "one_cycle", "optimiser_of"]


def one_cycle(done: float, warm_up: float) -> float:
    """The learning rate's share after the share ``done`` of a phase: a line up to 1, then half a cosine to 0."""
    if done < warm_up:
        return done / warm_up
    return 0.5 * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up)))


def optimiser_of(model: nn.Module, name: str, rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """"sgd", with Nesterov's momentum 0.9, or "adamw", for the parameters of ``model``, which is on its device."""
    if name == "sgd":
        return torch.optim.SGD(groups(model, weight_decay), lr=rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups(model, weight_decay), lr=rate)


def groups(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Weights decay; biases, batch norm and thresholds (whose logarithm is learned) do not."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
