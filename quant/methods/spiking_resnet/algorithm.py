"""Spiking ResNet: a trained ReLU network becomes a spiking one, without training (Hu, Tang, Pan, "Spiking deep
residual networks", IEEE TNNLS 2021, arXiv 1805.01352).

With lambda the ``percentile`` of what a ReLU gives for some images, zeros included, its neuron fires at lambda and a
spike is worth lambda: that is the weight normalisation W * lambda_before / lambda of the paper (threshold 1), for the
two branches of a residual block alike, which both take the lambda of the ReLU behind their sum. An identity shortcut
is the paper's shortcut normalisation, a gain of lambda_block_input / lambda_block_output, in integers in the unit of
the layer it is added to; a projection is normalised as any other layer. Batch norm is folded first. Neurons start at
half their threshold (0.5 in the authors' code), and neurons of their own stand behind an average pool.

Layer-wise error compensation. The paper enlarges the weights of a layer to make up for what sampling loses; the
released code has none of it. Here it is defined as follows. Layer after layer, with those before it already spiking and
compensated, the factor c of a small grid is taken that minimises the mean over images and neurons of

    (lambda * N_T(c) / T - a)^2

where a is what the float layer gives and N_T(c) the number of spikes of its neurons in T steps when weights, shortcuts
and bias are c times as large, while a spike is still worth lambda. In integers that is a threshold divided by c.

Initial membranes. As an option beyond the paper, and without training either, a layer's membranes then start where its
mean output is right: v0 += T * (mean over images of a - mean of lambda * N_T / T), a channel or a neuron at a time (the
first step of phase II of ``methods.dual_phase``). It makes up for the spikes that a deep layer waits for, and costs
the hardware nothing for each channel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...conversion.integers import integer_network
from ...frontends.activations import QCFS
from ...frontends.floats import results
from ...frontends.layers import IMAGE, Activation, Layer, Passing, Shortcut, UnsupportedLayer, Weights
from ...frontends.torch_fx.graph import trace
from ...ir.network import Network
from ...qat.integer_graph import IntegerGraph, sources_of
from ...qat.stage import QuantisedLayer

__all__ = ["FACTORS", "compensate", "convert", "normalised", "percentile_of", "pool_neurons", "spiking_graph"]

FACTORS = tuple(1 + k / 100 for k in range(16))
"""The factors tried for each layer."""


MEMBRANES = ("half", "channel", "neuron")
MEMBRANE_ROUNDS = 2
"""Corrections of the membranes of a layer: the second one is for what the first one does to the order of its spikes."""


def percentile_of(x: Tensor, percentile: float) -> float:
    """The smallest value that at least ``percentile`` % of ``x`` do not exceed; the largest of all for 100."""
    rank = max(1, math.ceil(percentile * x.numel() / 100 - 1e-6))
    return x.flatten().kthvalue(min(rank, x.numel())).values.item()


def pool_neurons(layers: Sequence[Layer]) -> list[Layer]:
    """``layers`` with a ReLU, which changes nothing, behind every average pool: a 1x1 convolution of a weight 1 a
    channel, which a convolution has to be in front of it, and the activation."""
    names = {layer.name for layer in layers}
    channels: dict[str, int] = {}
    moved: dict[str, str] = {}  # what stands behind a pool now
    found: list[Layer] = []
    for layer in layers:
        layer = replace(layer, sources=tuple(moved.get(source, source) for source in layer.sources))
        found.append(layer)
        n = len(layer.weight) if isinstance(layer, Weights) else channels.get(layer.sources[0], 0)
        n += layer.before + layer.after if isinstance(layer, Shortcut) else 0
        channels[layer.name] = n
        if isinstance(layer, Passing) and layer.adds and n:
            unit, act = f"{layer.name}_unit", f"{layer.name}_neurons"
            while unit in names or act in names:
                unit, act = f"{unit}_", f"{act}_"
            found.append(Weights(unit, (layer.name,), torch.ones(n, 1, 1, 1), torch.zeros(n), groups=n))
            found.append(Activation(act, (unit,), None))
            channels[act], moved[layer.name] = n, act
    return found


def normalised(layers: Sequence[Layer], images: Tensor, percentile: float = 99.9) -> list[Layer]:
    """``layers`` whose ReLUs have a threshold, the percentile of what they give for ``images`` (N, C, H, W) in 0..1,
    which of a clamp is never above its upper end.

    Raises UnsupportedLayer for another activation than a clamp from 0 on, and for one that gives nothing above 0.
    """
    found = {}
    for layer, x in results(layers, images):
        if isinstance(layer, Activation):
            layer.check_unsigned("the training-free conversion to spikes")
            if layer.qcfs is not None:
                raise UnsupportedLayer(
                    f"{layer.name}: {type(layer.qcfs).__name__} is not supported by the training-free conversion; "
                    f"supported: ReLU"
                )
            scale = percentile_of(x, percentile) or x.max().item()  # most neurons of a layer may be silent
            if not 0 < scale < math.inf:
                raise UnsupportedLayer(
                    f"{layer.name}: its activations have a {percentile} % percentile of {scale}; supported: layers "
                    f"that give something above 0 for the images they are calibrated on"
                )
            found[layer.name] = replace(layer, qcfs=QCFS(1, scale))
    return [found.get(layer.name, layer) for layer in layers]


@torch.no_grad()
def compensate(
    graph: IntegerGraph,
    layers: Sequence[Layer],
    pixels: Tensor,
    factors: Sequence[float] = FACTORS,
    *,
    membranes: str = "half",
) -> dict[str, float]:
    """Set the factor of every layer of ``graph`` (``QuantisedLayer.boost``) by the search of the head of this file, and
    its initial membranes (``QuantisedLayer.charge``): "half" the threshold, or calibrated for each "channel" or
    "neuron".

    ``layers`` are the float ones, with ReLUs; ``pixels`` (N, C, H, W) are integers. Returns the factors by layer. It
    holds two layers' spike trains at a time, 8 * N * T bytes a neuron.
    """
    if membranes not in MEMBRANES:
        raise ValueError(f"membranes must be {' or '.join(map(repr, MEMBRANES))}, not {membranes!r}")
    graph.eval()
    stages = {layer.name: layer for layer in graph.order}
    last_use = {source: layer.name for layer in graph.order for source in sources_of(layer)}
    found, spikes, scales = {IMAGE: pixels.float()}, dict[str, Tensor](), graph.scales()
    chosen: dict[str, float] = {}
    for layer, want in results(layers, pixels.float() / graph.input_high):
        stage = stages.get(layer.name)
        if stage is None or stage is graph.order[-1]:
            continue
        if isinstance(stage, QuantisedLayer):
            aim = want / stage.threshold * graph.steps  # in spikes
            errors = {}
            for factor in factors if len(factors) > 1 else ():
                stage.boost = torch.tensor(factor)
                graph.step(stage, found, spikes, scales)
                errors[factor] = (found[stage.name] - aim).square().mean().item()
            chosen[layer.name] = min(errors, key=errors.__getitem__, default=factors[0])
            stage.boost = None if chosen[layer.name] == 1 else torch.tensor(chosen[layer.name])
            for _ in range(MEMBRANE_ROUNDS if membranes != "half" else 0):
                graph.step(stage, found, spikes, scales)
                _charge(stage, (aim - found[stage.name]).mean(0), membranes)
        graph.step(stage, found, spikes, scales)
        for source in {source for source in sources_of(stage) if last_use[source] == stage.name}:
            del found[source]
            spikes.pop(source, None)
    return chosen


def _charge(stage: QuantisedLayer, missing: Tensor, membranes: str) -> None:
    """Add ``missing`` spikes, that is, thresholds, (C,) or (C, H, W), to the initial membranes."""
    if membranes == "channel" and missing.ndim > 1:
        missing = missing.flatten(1).mean(1)
    old = torch.zeros_like(missing) if stage.charge is None else stage.charge
    stage.charge = nn.Parameter(old + missing)


def spiking_graph(
    model: nn.Module, pixels: Tensor, *, shape: tuple[int, int, int], percentile: float = 99.9, **settings: Any
) -> tuple[IntegerGraph, list[Layer]]:
    """The spiking graph of ``model``, all factors 1, and the float layers it is to follow, for :func:`compensate`.

    ``pixels`` are integers (N, C, H, W), ``settings`` those of ``IntegerGraph``.
    """
    layers = pool_neurons(trace(model, shape))
    scaled = normalised(layers, pixels.float() / settings["input_high"], percentile)
    return IntegerGraph(scaled, rule="causal", **settings).eval(), layers


def convert(
    model: nn.Module,
    images: np.ndarray,
    *,
    shape: tuple[int, int, int],
    input_high: int,
    steps: int,
    weight_bits: int = 8,
    first_bits: int | None = None,
    last_bits: int | None = None,
    shortcut_bits: int = 8,
    percentile: float = 99.9,
    compensation: int = 64,
    factors: Sequence[float] = FACTORS,
    membranes: str = "half",
    strict: bool = False,
    meta: dict[str, str] | None = None,
) -> Network:
    """The integer network (rule ``causal``) of ``model``, an ordinary one with ReLUs, trained on pixels / input_high.

    ``images``, integers (N, C, H, W) of the training split, are what scales are measured on, and the first
    ``compensation`` of them what ``factors`` and ``membranes`` are found with (0: neither, see :func:`compensate`; one
    factor alone is no search). The rest as in ``integers.convert``.
    Raises UnsupportedLayer or NetworkError, naming the layer.
    """
    pixels = torch.from_numpy(np.asarray(images)).float()
    graph, layers = spiking_graph(
        model,
        pixels,
        shape=shape,
        percentile=percentile,
        input_high=input_high,
        steps=steps,
        weight_bits=weight_bits,
        first_bits=first_bits,
        last_bits=last_bits,
        shortcut_bits=shortcut_bits,
        strict=strict,
    )
    if compensation:
        compensate(graph, layers, pixels[:compensation], factors, membranes=membranes)
    return integer_network(graph, shape=shape, meta=meta)
