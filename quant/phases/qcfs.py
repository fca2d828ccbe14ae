"""QCFS in three phases: float with ReLU, QCFS, QCFS with integers in the loop."""

from __future__ import annotations

import copy
import functools
from typing import cast

from torch import nn

from ..data import Dataset
from ..fit import Fit
from ..integers import integer_network
from ..methods.qcfs import calibrate, prepare
from ..network import Network
from ..nodes import Rule
from ..qat import IntegerGraph
from ..rates import one_cycle, optimiser_of
from ..recipe import QcfsRecipe
from ..weight_rounding import round_weights
from .start import start, teacher

__all__ = ["phases"]


def phases(recipe: QcfsRecipe, model: nn.Module, data: Dataset, fit: Fit) -> tuple[nn.Module, dict[str, Network]]:
    """Follow ``recipe``; the networks are those of both rules, see ``quant.phases``."""

    def phase(model: nn.Module, name: str) -> None:
        optimiser = optimiser_of(
            model.to(fit.device), recipe.optimiser, getattr(recipe.rates, name), recipe.weight_decay
        )
        fit(model, name, getattr(recipe.epochs, name), optimiser, functools.partial(one_cycle, warm_up=recipe.warm_up))

    start(model, recipe.start)
    phase(model, "float")
    fit.measure("float", model)
    fit.teach(teacher(recipe, data, model))
    model = prepare(model, recipe.levels, average_pools=False)
    calibrate(model, fit.real(fit.train_x[:1024]), quantile=recipe.quantile)
    bits = {"weight_bits": recipe.weight_bits, "first_bits": recipe.first_bits, "last_bits": recipe.last_bits}
    if recipe.rounded:
        round_weights(model, **bits)
    phase(model, "qcfs")
    fit.measure("qcfs", model)
    graph = IntegerGraph(
        model.cpu().eval(),
        input_high=data.high,
        steps=recipe.steps,
        shortcut_bits=recipe.shortcut_bits,
        rule=cast(Rule, recipe.rule),
        shape=data.shape,
        **bits,
    )
    fit.measure("converted", graph.to(fit.device))
    phase(graph, "integers")
    fit.measure("fake-quantised", graph)
    graph = copy.deepcopy(graph).cpu().eval()
    rules: tuple[Rule, ...] = ("lossless", "causal")
    return graph, {r: integer_network(graph, shape=data.shape, rule=r, meta={"rule": r}) for r in rules}
