"""IntegerNet in one phase: weights and activations are integers from the first batch on."""

from __future__ import annotations

import copy

import torch
from torch import nn

from ..data import Dataset
from ..fit import Fit
from ..methods import integernet
from ..network import Network
from ..recipe import IntegerNetRecipe
from .start import teacher

__all__ = ["phases"]


def phases(recipe: IntegerNetRecipe, model: nn.Module, data: Dataset, fit: Fit) -> tuple[nn.Module, dict[str, Network]]:
    """Follow ``recipe``; see ``quant.phases``."""
    fit.teach(teacher(recipe, data))
    net = integernet.prepare(model, recipe.bits, data.shape)
    optimiser = torch.optim.Adam(net.to(fit.device).parameters(), lr=recipe.rate)
    falling = recipe.last_rate / recipe.rate
    fit(net, "integers", recipe.epochs, optimiser, lambda done: falling**done)
    fit.measure("fake-quantised", net)
    net = copy.deepcopy(net).cpu().eval()
    return net, {"integers": integernet.convert(net, shape=data.shape, input_high=data.high)}
