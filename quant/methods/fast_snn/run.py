"""Fast-SNN: rounds of ever fewer bits, integers in the loop, then layer-wise fine-tuning of the spiking network."""

from __future__ import annotations

import copy
import functools
from dataclasses import asdict
from typing import Any

from torch import nn

from ...conversion.integers import integer_network
from ...conversion.reals import keep_grid, layers_of, scale_logits, tuned_network
from ...data import Dataset
from ...ir.network import Network
from ...qat.integer_graph import IntegerGraph
from ...recipe import FastSnnRecipe
from ...training.fit import Fit
from ...training.rates import one_cycle, optimiser_of
from ..layerwise import spiking_copy
from ..qcfs.algorithm import calibrate
from ..start import held_out, start, teacher
from .algorithm import integer_graph, narrow, prepare, steps_of, tune_layers
from .apot import magnitudes

__all__ = ["phases"]


def phases(recipe: FastSnnRecipe, model: nn.Module, data: Dataset, fit: Fit) -> tuple[nn.Module, dict[str, Network]]:
    """Follow ``recipe``; the networks: the spiking one, "signed", and, without ``tune``, the quantised, "lossless"."""

    def phase(model: nn.Module, name: str, epochs: int, rate: float) -> None:
        optimiser = optimiser_of(model.to(fit.device), recipe.optimiser, rate, recipe.weight_decay)
        fit(model, name, epochs, optimiser, functools.partial(one_cycle, warm_up=recipe.warm_up))
        if not recipe.tune:
            fit.measure(name, model)

    ends = {"first_bits": recipe.first_bits, "last_bits": recipe.last_bits}
    if recipe.tune:
        network = tuned_network(recipe.tune, data)
        fit.teach(teacher(recipe, data))
        wide: dict[str, Any] = {"weight_bits": 8, "shortcut_bits": recipe.shortcut_bits, "rule": "signed", **ends}
        steps = steps_of(recipe.bits[-1])
        spiking = IntegerGraph(layers_of(network), input_high=data.high, steps=steps, shape=data.shape, **wide)
        keep_grid(spiking, network, magnitudes(recipe.weight_bits[-1], recipe.grid))
        scale_logits(spiking.to(fit.device), fit.train_x[:512], fit.train_y[:512])
        phase(spiking, "signed epochs", recipe.signed_epochs, recipe.signed_rate)
        spiking = copy.deepcopy(spiking).cpu().eval()
        return spiking, {"signed": integer_network(spiking, shape=data.shape, meta={"rule": "signed"})}
    settings = asdict(recipe.tuning)
    images, (held_x, held_y) = settings.pop("images"), held_out(fit, settings.pop("held_out"))
    start(model, recipe.start)
    phase(model, "float", recipe.float_epochs, recipe.float_rate)
    fit.teach(teacher(recipe, data, model))
    grid: dict[str, Any] = {"weight_bits": recipe.weight_bits[0], "grid": recipe.grid, "shape": data.shape, **ends}
    model = prepare(model, recipe.bits[0], **grid).to(fit.device)
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
        show = functools.partial(fit.show, "tuning")
        tune_layers(spiking.eval(), graph, fit.train_x[:images], held_x, held_y, progress=show, **settings)

    fit.measure("not tuned", spiking)
    fit.step("tuning", spiking, tuned)
    spiking, graph = copy.deepcopy(spiking).cpu().eval(), copy.deepcopy(graph).cpu().eval()
    networks = {
        "signed": integer_network(spiking, shape=data.shape, meta={"rule": "signed"}),
        "lossless": integer_network(graph, shape=data.shape, rule="lossless", meta={"rule": "lossless"}),
    }
    return spiking, networks
