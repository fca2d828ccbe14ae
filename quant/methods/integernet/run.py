"""IntegerNet in one phase: weights and activations are integers from the first batch on, drawn or from floats."""

from __future__ import annotations

import copy

import torch
from torch import nn

from ...data import Dataset
from ...ir.network import Network
from ...recipe import IntegerNetRecipe
from ...training.fit import Fit
from ..start import start, teacher
from . import algorithm as integernet
from . import integer_start

__all__ = ["phases"]


def phases(recipe: IntegerNetRecipe, model: nn.Module, data: Dataset, fit: Fit) -> tuple[nn.Module, dict[str, Network]]:
    """Follow ``recipe``; see ``quant.methods.registry``."""
    start(model, recipe.start)
    fit.teach(teacher(recipe, data, model))
    net = integernet.prepare(model, recipe.bits, data.shape, beta=recipe.beta).to(fit.device)
    if recipe.start:
        fit.measure("float", model.to(fit.device))
        integer_start.start(net, model, fit.train_x[: recipe.images], data.high)
        fit.measure("started", net)
    optimiser = torch.optim.Adam(net.parameters(), lr=recipe.rate)
    falling = recipe.last_rate / recipe.rate
    fit(net, "integers", recipe.epochs, optimiser, lambda done: falling**done)
    fit.measure("fake-quantised", net)
    net = copy.deepcopy(net).cpu().eval()
    return net, {"integers": integernet.convert(net, shape=data.shape, input_high=data.high)}
