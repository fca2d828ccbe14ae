"""Fast-SNN: rounds of ever fewer bits, integers in the loop, then layer-wise fine-tuning of the spiking network."""

from __future__ import annotations

import copy
import functools
from dataclasses import asdict

from torch import nn

from ..data import Dataset
from ..fit import Fit
from ..integers import integer_network
from ..methods.fast_snn import integer_graph, narrow, prepare, tune_layers
from ..methods.layerwise import spiking_copy
from ..methods.qcfs import calibrate
from ..network import Network
from ..rates import one_cycle, optimiser_of
from ..recipe import FastSnnRecipe
from .start import held_out, start, teacher

__all__ = ["phases"]


def phases(recipe: FastSnnRecipe, model: nn.Module, data: Dataset, fit: Fit) -> tuple[nn.Module, dict[str, Network]]:
    """Follow ``recipe``; the networks are the tuned one, "signed", and the quantised one, "lossless"."""

    def phase(model: nn.Module, name: str, epochs: int, rate: float) -> None:
        optimiser = optimiser_of(model.to(fit.device), recipe.optimiser, rate, recipe.weight_decay)
        fit(model, name, epochs, optimiser, functools.partial(one_cycle, warm_up=recipe.warm_up))
        fit.measure(name, model)

    settings = asdict(recipe.tuning)
    images, (held_x, held_y) = settings.pop("images"), held_out(fit, settings.pop("held_out"))
    start(model, recipe.start)
    phase(model, "float", recipe.float_epochs, recipe.float_rate)
    fit.teach(teacher(recipe, data, model))
    ends = {"first_bits": recipe.first_bits, "last_bits": recipe.last_bits}
    model = prepare(model, recipe.bits[0], weight_bits=recipe.weight_bits[0], grid=recipe.grid, **ends).to(fit.device)
    calibrate(model, fit.real(fit.train_x[:1024]), quantile=recipe.quantile)
    for bits, of_weights, epochs, rate in zip(
        recipe.bits, recipe.weight_bits, recipe.epochs, recipe.rates, strict=True
    ):
        narrow(model, bits, weight_bits=of_weights, grid=recipe.grid)
        phase(model, f"{bits} bits", epochs, rate)
    graph = integer_graph(
        model.cpu().eval(), input_high=data.high, shape=data.shape, shortcut_bits=recipe.shortcut_bits, **ends
    )
    fit.measure("converted", graph.to(fit.device))
    phase(graph, "integers", recipe.integer_epochs, recipe.integer_rate)
    spiking = spiking_copy(graph, "signed", strict=False)
    if recipe.signed_epochs:
        phase(spiking, "signed epochs", recipe.signed_epochs, recipe.signed_rate)

    def tuned() -> None:
        tune_layers(spiking.eval(), graph, fit.train_x[:images], held_x, held_y, **settings)

    fit.measure("not tuned", spiking)
    fit.step("tuning", spiking, tuned)
    spiking, graph = copy.deepcopy(spiking).cpu().eval(), copy.deepcopy(graph).cpu().eval()
    networks = {
        "signed": integer_network(spiking, shape=data.shape, meta={"rule": "signed"}),
        "lossless": integer_network(graph, shape=data.shape, rule="lossless", meta={"rule": "lossless"}),
    }
    return spiking, networks
