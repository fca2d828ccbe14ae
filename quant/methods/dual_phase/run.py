"""Dual-phase: clip, noisy quantiser, integers in the loop; then membranes and weights calibrated layer by layer. Or
from an integer network: calibration, where it is not spiking with as many steps already, and then epochs of the
spiking network."""

from __future__ import annotations

import copy
import functools
from dataclasses import asdict
from typing import Any

from torch import nn

from ...conversion.integers import integer_network
from ...conversion.reals import keep_membranes, layers_of, scale_logits, tuned_network
from ...data import Dataset
from ...ir.network import Network
from ...ir.ops import IF
from ...qat.integer_graph import IntegerGraph
from ...qat.weight_rounding import round_weights
from ...recipe import DualPhaseRecipe
from ...training.fit import Fit
from ...training.rates import one_cycle, optimiser_of
from ..layerwise import spiking_copy
from ..qcfs.algorithm import calibrate
from ..start import held_out, start, teacher
from .algorithm import phase_two, prepare, quantised

__all__ = ["phases"]


def phases(recipe: DualPhaseRecipe, model: nn.Module, data: Dataset, fit: Fit) -> tuple[nn.Module, dict[str, Network]]:
    """Follow ``recipe``; networks: the calibrated one, "causal", and, without ``tune``, the quantised, "lossless"."""

    def phase(model: nn.Module, name: str) -> None:
        optimiser = optimiser_of(
            model.to(fit.device), recipe.optimiser, getattr(recipe.rates, name), recipe.weight_decay
        )
        fit(model, name, getattr(recipe.epochs, name), optimiser, functools.partial(one_cycle, warm_up=recipe.warm_up))
        if not recipe.tune:
            fit.measure(name, model)

    settings: dict[str, Any] = {**asdict(recipe.calibration), "strict": recipe.strict, "bf16": recipe.bf16}
    images, (held_x, held_y) = settings.pop("images"), held_out(fit, settings.pop("held_out"))

    def calibrated() -> None:
        def show(name: str, share: float, found: dict[str, float]) -> None:
            fit.show(name, share, {"held out": list(found.values())[-1]})

        best, _ = phase_two(graph, fit.train_x[:images], held_x, held_y, progress=show, **settings)
        spiking.load_state_dict(best.state_dict())

    bits = {"weight_bits": recipe.weight_bits, "first_bits": recipe.first_bits, "last_bits": recipe.last_bits}
    wide: dict[str, Any] = {"input_high": data.high, "steps": recipe.steps, "shortcut_bits": recipe.shortcut_bits}
    wide |= {"strict": recipe.strict, "shape": data.shape, **bits}
    if recipe.tune:
        fit.teach(teacher(recipe, data))
        network = tuned_network(recipe.tune, data)
        graph = IntegerGraph(layers_of(network), **wide)
        spiking_already = network.steps == recipe.steps and {n.rule for n in network if isinstance(n, IF)} == {"causal"}
        if spiking_already:
            keep_membranes(graph, network)
        graph = graph.to(fit.device)
        scale_logits(graph, fit.train_x[:512], fit.train_y[:512])
        spiking = spiking_copy(graph, "causal", recipe.strict)
        if not spiking_already:
            fit.measure("not calibrated", spiking)
            fit.step("calibration", spiking, calibrated)
        if recipe.epochs.integers:  # else that is the final one
            fit.measure("calibrated", spiking)
        spiking.through_time = recipe.through_time
        phase(spiking, "integers")
        spiking.through_time = False
        spiking = copy.deepcopy(spiking).cpu().eval()
        return spiking, {"causal": integer_network(spiking, shape=data.shape, meta={"rule": "causal"})}
    start(model, recipe.start)
    fit.teach(teacher(recipe, data, model))
    model = prepare(model.to(fit.device), recipe.steps, shape=data.shape)
    calibrate(model, fit.real(fit.train_x[:1024]), quantile=recipe.quantile)
    phase(model, "clip")
    model = quantised(model, noise=recipe.noise, fold=recipe.fold)
    if recipe.rounded:
        round_weights(model, **bits)
    phase(model, "noisy")
    graph = IntegerGraph(model.cpu().eval(), rule=recipe.rule, **wide)
    fit.measure("converted", graph.to(fit.device))
    phase(graph, "integers")
    spiking = spiking_copy(graph, "causal", recipe.strict)
    if graph.rule != "causal":  # else those are the integers measured before
        fit.measure("not calibrated", spiking)
    fit.step("calibration", spiking, calibrated)
    spiking, graph = copy.deepcopy(spiking).cpu().eval(), copy.deepcopy(graph).cpu().eval()
    networks = {
        "causal": integer_network(spiking, shape=data.shape, meta={"rule": "causal"}),
        "lossless": integer_network(graph, shape=data.shape, rule="lossless", meta={"rule": "lossless"}),
    }
    return spiking, networks
