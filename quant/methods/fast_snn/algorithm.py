"""Fast-SNN (Hu, Zheng, Jiang, Pan, "Fast-SNN: fast spiking neural network by converting quantized ANN", IEEE TPAMI
2023, arXiv 2305.19868).

A network is trained with activations of b bits, alpha learned a layer,

    y = alpha * round(clip(relu(z)/alpha, 0, 1) * (2^b - 1)) / (2^b - 1),

progressively, b = 4, 3, 2, each from the one before, with weights of few values (``methods.apot``), and its first and
last layer with 8 bits. It becomes a spiking one of T = 2^b - 1 steps, whose neurons may take a spike back (rule
``signed``), and is then tuned layer by layer towards what the quantised network gives.

The authors round half to even; the quantised network in integers (rule ``lossless``) and the neurons (v >= threshold,
from half a threshold) round half up. The authors' test v <= -1e-3 for a negative spike is v < 0 in integers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from ...frontends.layers import UnsupportedLayer, Weights
from ...frontends.torch_fx.graph import trace
from ...qat.integer_graph import IntegerGraph
from ...qat.stage import QuantisedLayer
from ...qat.weight_rounding import Rounded, quantise, synapses_of
from ..layerwise import Inputs, accuracy, fit, spiking_copy, walk
from ..qcfs import algorithm as qcfs
from .apot import GridWeights

__all__ = ["FastQuant", "fine_tune", "integer_graph", "narrow", "prepare", "steps_of", "tune_layers"]

BITS = (2, 3, 4)


class FastQuant(qcfs.QCFS):
    """The activation, ``levels`` = 2^b - 1."""

    def quantise(self, u: Tensor) -> Tensor:
        """Values 0..2^b - 1 to whole ones, half to even."""
        return u.round_()


def steps_of(bits: int) -> int:
    """T = 2^b - 1 of activations of ``bits`` bits. Raises ValueError for others than 2, 3 and 4."""
    if bits not in BITS:
        raise ValueError(f"Activations have 4, 3 or 2 bits (T = 15, 7, 3), not {bits}")
    return (1 << bits) - 1


def prepare(
    model: nn.Module,
    bits: int = 4,
    *,
    weight_bits: int | None = None,
    grid: str = "apot",
    first_bits: int = 8,
    last_bits: int = 8,
    threshold: float = 6.0,
    shape: tuple[int, int, int] | None = None,
) -> fx.GraphModule:
    """A copy of ``model`` with activations of ``bits`` bits for its ReLUs and quantised weights.

    ``weight_bits`` (``bits`` if left out) and ``grid`` as in ``apot.magnitudes``; the first and last layer have uniform
    weights of ``first_bits`` and ``last_bits`` bits, a scale for each output and one for all, as the integers will.
    ``shape`` as in ``qcfs.prepare``. Raises UnsupportedLayer for what cannot be converted, and for weights that are
    computed.
    """
    prepared = qcfs.prepare(model, steps_of(bits), threshold=threshold, kind=FastQuant, shape=shape)
    layers = _layers(prepared)
    for k, (name, layer) in enumerate(layers.items()):
        if k in (0, len(layers) - 1):
            quantiser: nn.Module = Rounded(last_bits if k else first_bits, common=bool(k))
        else:
            quantiser = GridWeights(weight_bits or bits, grid)
        quantise(name, layer, quantiser)
    return prepared


def narrow(model: fx.GraphModule, bits: int, *, weight_bits: int | None = None, grid: str = "apot") -> None:
    """Give a trained ``model`` of :func:`prepare` fewer bits, in place, for the next round of training."""
    levels = steps_of(bits)
    for module in model.modules():
        if isinstance(module, FastQuant):
            module.levels = levels
        elif isinstance(module, GridWeights):
            device = module.grid.device
            module.set(weight_bits or bits, grid)
            module.to(device)


def _layers(model: fx.GraphModule) -> dict[str, nn.Module]:
    """The layers with weights, in the order they are called in."""
    found = synapses_of(model)
    if len(found) < 2:
        raise UnsupportedLayer(
            f"{type(model).__name__}: {len(found)} layers with weights are not supported by Fast-SNN; supported: a "
            f"first and a last one, and any number between them"
        )
    return found


def integer_graph(
    model: fx.GraphModule,
    *,
    input_high: int,
    shape: tuple[int, int, int],
    first_bits: int = 8,
    last_bits: int = 8,
    shortcut_bits: int = 8,
) -> IntegerGraph:
    """The quantised network (rule ``lossless``) of a trained :func:`prepare`, on integers, whose weights are exactly
    those that were trained: batch norm goes into the scale of a channel. A projection comes in the unit of the layer it
    is added to, so its weights are rounded once more, to at most ``shortcut_bits`` bits.
    """
    activations = [m for m in model.modules() if isinstance(m, FastQuant)]
    if not activations:
        raise UnsupportedLayer(f"{type(model).__name__}: no FastQuant activation; supported: a model of prepare()")
    layers = trace(model, shape)
    graph = IntegerGraph(
        layers,
        input_high=input_high,
        steps=activations[0].levels,
        weight_bits=8,
        first_bits=first_bits,
        last_bits=last_bits,
        shortcut_bits=shortcut_bits,
    )
    modules: dict[str, Any] = dict(model.named_modules(remove_duplicate=False))
    folded = {layer.name: layer for layer in layers if isinstance(layer, Weights)}
    for stage in graph.stages:
        assert isinstance(stage, QuantisedLayer)
        part = stage.parts[0]
        trained = modules[part.origin].parametrizations.weight
        quantiser = trained[0]
        if isinstance(quantiser, GridWeights):
            codes = quantiser.codes(trained.original.detach())
            most = codes.detach().flatten(1).abs().amax(1)
            part.scale = folded[part.name].weight.flatten(1).abs().amax(1).float() / most.clamp(min=1)
            part.grid = quantiser.grid.clone()
            part.bits = int(quantiser.grid[-1]).bit_length() + 1
    return graph


def fine_tune(
    graph: IntegerGraph, pixels: Tensor, held_x: Tensor, held_y: Tensor, **settings: Any
) -> tuple[IntegerGraph, list[tuple[str, float, bool]]]:
    """The spiking network (rule ``signed``) of ``graph``, the trained quantised one, tuned by :func:`tune_layers`,
    whose ``settings`` and log these are."""
    target = copy.deepcopy(graph).eval()
    target.rule = "lossless"
    spiking = spiking_copy(graph, "signed", strict=False)
    return spiking, tune_layers(spiking, target, pixels, held_x, held_y, **settings)


def tune_layers(
    spiking: IntegerGraph,
    target: IntegerGraph,
    pixels: Tensor,
    held_x: Tensor,
    held_y: Tensor,
    *,
    epochs: int = 1,
    rate: float = 1e-3,
    batch: int = 128,
    weight_decay: float = 1e-4,
    force: bool = False,
    progress: Callable[[float, dict[str, float]], object] | None = None,
) -> list[tuple[str, float, bool]]:
    """Layer-wise fine-tuning of ``spiking``, in place.

    For every hidden layer but the first: its mean output over the T steps, on what the tuned layers before it give, is
    drawn to that of ``target`` (mean squared difference, SGD with momentum), with the gradient of the quantised layer
    at the mean input. The weights are kept if the accuracy on ``held_x``, ``held_y``, images held out of the training
    split, does not fall (``force``: always; the authors look at the training accuracy); ``pixels`` (N, C, H, W) are
    integers of the training split. ``progress`` is called with the share of the layers that is done and the
    accuracy held out. Returns, for each layer, its name, the accuracy with its new weights, and whether they stayed.
    """
    best, first = accuracy(spiking, held_x, held_y), True
    log: list[tuple[str, float, bool]] = []

    def tune(stage: QuantisedLayer, inputs: Inputs, want: Tensor) -> None:
        nonlocal best, first
        if first:  # the first layer loses nothing
            first = False
            return
        learned = [stage.bias, *(part.weight for part in stage.parts)]
        before = [p.detach().clone() for p in learned]
        worth = stage.threshold.item() / spiking.steps
        optimiser = torch.optim.SGD(learned, lr=rate, momentum=0.9, weight_decay=weight_decay)
        fit(inputs, want, lambda a, b: F.mse_loss(a * worth, b * worth), optimiser, epochs=epochs, batch=batch)
        found = accuracy(spiking, held_x, held_y)
        kept = force or found >= best
        log.append((stage.name, found, kept))
        if kept:
            best = found
        else:
            _restore(learned, before)

    walk(spiking, target, pixels, tune, lambda share: progress and progress(share, {"held out": best}))
    return log


@torch.no_grad()
def _restore(learned: Sequence[nn.Parameter], before: Sequence[Tensor]) -> None:
    for p, old in zip(learned, before, strict=True):
        p.copy_(old)
