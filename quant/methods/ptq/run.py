"""Post-training quantisation: trained weights, converted."""

from __future__ import annotations

import json
from dataclasses import asdict

from torch import nn

from ...data import Dataset
from ...frontends.torch_fx.graph import trace
from ...ir.network import Network
from ...recipe import PtqRecipe
from ...training.fit import Fit
from ..start import start
from .algorithm import quantise

__all__ = ["phases"]


def phases(recipe: PtqRecipe, model: nn.Module, data: Dataset, fit: Fit) -> tuple[nn.Module, dict[str, Network]]:
    """Follow ``recipe``; the network is "integers". Its ``meta`` has the errors of the layers, ``layers``."""
    start(model, recipe.start)
    fit.measure("float", model.to(fit.device))
    found = quantise(
        trace(model.cpu(), data.shape),
        data.train_x[: recipe.images],
        shape=data.shape,
        input_high=data.high,
        form="values" if recipe.form == "values" else "spikes",
        bits=recipe.bits,
        weight_bits=recipe.weight_bits,
        first_bits=recipe.first_bits,
        last_bits=recipe.last_bits,
        shortcut_bits=recipe.shortcut_bits,
        steps=recipe.steps,
        reconstruct=recipe.reconstruct,
        progress=lambda share: fit.show("quantising", share, {}),
    )
    meta = {"rule": "lossless"} if recipe.form == "spikes" else {}
    layers = json.dumps([asdict(layer) for layer in found.layers])
    network = Network(found.network.nodes, found.network.steps, meta | {"layers": layers})
    return model, {"integers": network}
