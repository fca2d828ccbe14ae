"""QCFS in three phases: float with ReLU, QCFS, QCFS with integers in the loop; or the last alone, from a network."""

from __future__ import annotations

import copy
import functools
from typing import Any

from torch import nn

from ...conversion.integers import integer_network
from ...conversion.reals import layers_of, scale_logits, tuned_network
from ...data import Dataset
from ...ir.network import Network
from ...qat.integer_graph import IntegerGraph
from ...qat.weight_rounding import round_weights
from ...recipe import QcfsRecipe
from ...training.fit import Fit
from ...training.rates import one_cycle, optimiser_of
from ..start import start, teacher
from .algorithm import calibrate, prepare

__all__ = ["phases"]


def phases(recipe: QcfsRecipe, model: nn.Module, data: Dataset, fit: Fit) -> tuple[nn.Module, dict[str, Network]]:
    """Follow ``recipe``; the networks are those of both rules, see ``quant.methods.registry``, or with ``tune`` of the
    recipe's: many steps take long to measure."""

    def phase(model: nn.Module, name: str) -> None:
        optimiser = optimiser_of(
            model.to(fit.device), recipe.optimiser, getattr(recipe.rates, name), recipe.weight_decay
        )
        fit(model, name, getattr(recipe.epochs, name), optimiser, functools.partial(one_cycle, warm_up=recipe.warm_up))

    settings: dict[str, Any] = {"input_high": data.high, "steps": recipe.steps, "shape": data.shape}
    settings |= {"rule": recipe.rule, "shortcut_bits": recipe.shortcut_bits}
    bits = {"weight_bits": recipe.weight_bits, "first_bits": recipe.first_bits, "last_bits": recipe.last_bits}
    if recipe.tune:
        fit.teach(teacher(recipe, data))
        graph = IntegerGraph(layers_of(tuned_network(recipe.tune, data)), **bits, **settings).to(fit.device)
        scale_logits(graph, fit.train_x[:512], fit.train_y[:512])
    else:
        start(model, recipe.start)
        phase(model, "float")
        fit.measure("float", model)
        fit.teach(teacher(recipe, data, model))
        model = prepare(model, recipe.levels, shape=data.shape)
        calibrate(model, fit.real(fit.train_x[:1024]), quantile=recipe.quantile)
        if recipe.rounded:
            round_weights(model, **bits)
        phase(model, "qcfs")
        fit.measure("qcfs", model)
        graph = IntegerGraph(model.cpu().eval(), **bits, **settings)
        fit.measure("converted", graph.to(fit.device))
    phase(graph, "integers")
    if not recipe.tune:
        fit.measure("fake-quantised", graph)
    graph = copy.deepcopy(graph).cpu().eval()
    rules = (recipe.rule,) if recipe.tune else ("lossless", "causal")
    return graph, {r: integer_network(graph, shape=data.shape, rule=r, meta={"rule": r}) for r in rules}
