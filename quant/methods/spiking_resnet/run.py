"""Spiking ResNet: trained weights, converted."""

from __future__ import annotations

from torch import nn

from ...conversion.integers import integer_network
from ...data import Dataset
from ...ir.network import Network
from ...recipe import SpikingResnetRecipe
from ...training.fit import Fit
from ..start import start
from .algorithm import FACTORS, compensate, spiking_graph

__all__ = ["phases"]


def phases(
    recipe: SpikingResnetRecipe, model: nn.Module, data: Dataset, fit: Fit
) -> tuple[nn.Module, dict[str, Network]]:
    """Follow ``recipe``; the network is "causal", see ``quant.methods.registry``."""
    start(model, recipe.start)
    fit.measure("float", model.to(fit.device))
    pixels = fit.train_x[: recipe.images].cpu()
    graph, layers = spiking_graph(
        model.cpu(),
        pixels,
        shape=data.shape,
        percentile=recipe.percentile,
        input_high=data.high,
        steps=recipe.steps,
        weight_bits=recipe.weight_bits,
        first_bits=recipe.first_bits,
        last_bits=recipe.last_bits,
        shortcut_bits=recipe.shortcut_bits,
    )

    def compensated() -> None:
        some = pixels[: recipe.compensation]
        compensate(graph, layers, some, recipe.factors or FACTORS, membranes=recipe.membranes)

    if recipe.compensation:
        fit.step("compensation", graph, compensated)
    return graph, {"causal": integer_network(graph, shape=data.shape, meta={"rule": "causal"})}
