"""The dual-phase method (Wang, Lian, Zhang, Cui, Yan, Tang, "Towards lossless ANN-SNN conversion under ultra-low
latency with dual-phase optimization", arXiv 2205.07473).

Phase I trains a network whose activations are those of T spikes: first with a learned clip (:class:`TClamp`),
y = th * clip(z/th, 0, 1), then with the noisy quantiser (:class:`NoisyQC`),

    u = z/th * T;    in training u <- u + M * (round(u) - u), M ~ Bernoulli(1 - p);    y = th * clip(u/T, 0, 1),

rounded half to even, everywhere in evaluation. Phase II (:func:`phase_two`) calibrates initial membranes and weights
layer by layer on a few training images, so that T steps of plain integrate-and-fire neurons come near to it.

Ties. A current whose sum over T steps is exactly k + 1/2 thresholds gives, from an initial membrane of half a
threshold, k + 1 spikes with the test ``>=`` and k with the strict ``>`` of the authors' first phase; their quantiser
gives the even one of the two, here in floats only. The integers do what their test says, exactly: the initial membrane
of an odd threshold is rounded so that it acts as its true half (``quant.conversion.integers``). A calibrated membrane
is rounded to a whole number. Phase II of the authors ends with ``>=``, which is also the default here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from ...frontends.torch_fx.faithful import check_fused
from ...qat.integer_graph import IntegerGraph
from ...qat.stage import QuantisedLayer
from ...qat.weight_rounding import check_own
from ..layerwise import Inputs, Share, accuracy, fit, nothing, spiking_copy, walk
from ..qcfs import algorithm as qcfs

__all__ = ["NoisyQC", "TClamp", "calibrate_membranes", "calibrate_weights", "phase_two", "prepare", "quantised"]


class TClamp(qcfs.QCFS):
    """y = th * clip(z/th, 0, 1), th learned; ``levels`` is what it will be quantised to."""

    def quantise(self, u: Tensor) -> Tensor:
        """No rounding."""
        return u


class NoisyQC(qcfs.QCFS):
    """The quantiser to ``levels`` = T values that leaves a share ``noise`` (p) of the units as they are in training."""

    noise = 0.1

    def quantise(self, u: Tensor) -> Tensor:
        """Values 0..T to whole ones, half to even, but for the share of them in training."""
        if not self.training or not self.noise:
            return u.round_()
        return torch.where(torch.rand_like(u) < self.noise, u, u.round())


def prepare(
    model: nn.Module, steps: int, *, threshold: float = 5.0, shape: tuple[int, int, int] | None = None
) -> fx.GraphModule:
    """A copy of ``model`` with a :class:`TClamp` in place of every ReLU, for the first part of phase I; ``shape`` as in
    ``qcfs.prepare``."""
    return qcfs.prepare(model, steps, threshold=threshold, kind=TClamp, shape=shape)


def quantised(model: fx.GraphModule, *, noise: float = 0.1, fold: bool = True) -> fx.GraphModule:
    """A copy of a trained :func:`prepare` with a :class:`NoisyQC` of the same threshold in place of every TClamp, for
    the second part of phase I; ``fold`` folds batch norm into the weights before, as the authors do. Raises
    UnsupportedLayer, naming the layer, where that changes what it gives, as with weights that are computed."""
    if not 0 <= noise < 1:
        raise ValueError(f"noise (p) must be at least 0 and below 1, not {noise}")
    model = copy.deepcopy(model)
    for name, module in list(model.named_modules()):
        if isinstance(module, TClamp):
            other = NoisyQC(module.levels)
            other.noise, other.log_threshold = noise, module.log_threshold
            model.set_submodule(name, other)
    return _folded(model) if fold else model


def _folded(model: fx.GraphModule) -> fx.GraphModule:
    """Batch norm directly behind a convolution or linear layer as part of its weights."""
    modules = dict(model.named_modules(remove_duplicate=False))
    training = model.training
    model.eval()
    for node in list(model.graph.nodes):
        norm = modules[str(node.target)] if node.op == "call_module" else None
        before = node.args[0] if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        name, layer = str(before.target), modules[str(before.target)]
        if isinstance(layer, nn.Conv2d | nn.Linear):
            check_own(name, layer, "folded")
        if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            fused: nn.Module = fuse_conv_bn_eval(layer, norm)
        elif isinstance(layer, nn.Linear) and isinstance(norm, nn.BatchNorm1d):
            fused = fuse_linear_bn_eval(layer, norm)
        else:
            continue
        check_fused(name, layer, norm, fused)
        model.set_submodule(name, fused)
        node.replace_all_uses_with(before)
        model.graph.erase_node(node)
    model.recompile()
    model.delete_all_unused_submodules()
    return cast(fx.GraphModule, model.train(training))


def calibrate_membranes(
    spiking: IntegerGraph,
    target: IntegerGraph,
    pixels: Tensor,
    *,
    per: str = "neuron",
    progress: Share = nothing,
) -> None:
    """Layer after layer, v0 += (mean over images of the target's output - mean of the spiking one) * T.

    ``per`` "neuron" gives every neuron its own initial membrane, as in the paper, "channel" the mean over the map,
    which costs the hardware nothing; ``pixels`` as in :func:`phase_two`.
    """
    if per not in ("neuron", "channel"):
        raise ValueError(f"Initial membranes are calibrated per 'neuron' or per 'channel', not {per!r}")

    def tune(stage: QuantisedLayer, inputs: Inputs, want: Tensor) -> None:
        with torch.no_grad():
            missing = (want - inputs.counts()).mean(0)  # in spikes, that is, in thresholds
            if per == "channel":
                missing = missing.flatten(1).mean(1) if missing.ndim > 1 else missing
            old = torch.zeros_like(missing) if stage.charge is None else stage.charge
            most = max(old.ndim, missing.ndim)
            wide = [x.view(*x.shape, *[1] * (most - x.ndim)) for x in (old, missing)]
            stage.charge = nn.Parameter(wide[0] + wide[1])

    walk(spiking, target, pixels, tune, progress)


def calibrate_weights(
    spiking: IntegerGraph,
    target: IntegerGraph,
    pixels: Tensor,
    *,
    loss: str = "kl",
    epochs: int = 20,
    rate: float = 1e-4,
    batch: int = 128,
    patience: int = 5,
    bf16: bool = False,
    progress: Share = nothing,
) -> None:
    """Layer after layer, train weights, bias and initial membrane for the layer's own T steps, by back-propagation
    through its membrane over time, so that its rates come near to the target's.

    ``loss`` "kl" is that of the paper, KL(softmax(target) || softmax(rates)) over the values of a layer, "mse" the mean
    squared difference. The last quarter of ``pixels`` judges: the best epoch on it is kept, and a layer is done after
    ``patience`` epochs without a better one. Adam, its rate falling along half a cosine.
    """
    if loss not in LOSSES:
        raise ValueError(f"loss must be {' or '.join(map(repr, LOSSES))}, not {loss!r}")

    def tune(stage: QuantisedLayer, inputs: Inputs, want: Tensor) -> None:
        if stage.charge is None:
            stage.charge = nn.Parameter(torch.zeros_like(stage.bias))
        learned = [p for p in stage.parameters() if p is not stage.log_threshold]
        worth = stage.threshold.item() / spiking.steps
        fit(
            inputs,
            want,
            lambda rates, goal: LOSSES[loss](rates * worth, goal * worth),
            torch.optim.Adam(learned, lr=rate),
            epochs=epochs,
            batch=batch,
            patience=patience,
            bf16=bf16,
        )

    spiking.through_time = True
    try:
        walk(spiking, target, pixels, tune, progress)
    finally:
        spiking.through_time = False


def _divergence(found: Tensor, want: Tensor) -> Tensor:
    return F.kl_div(found.flatten(1).log_softmax(1), want.flatten(1).softmax(1), reduction="batchmean")


LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"kl": _divergence, "mse": F.mse_loss}


def phase_two(
    graph: IntegerGraph,
    pixels: Tensor,
    held_x: Tensor,
    held_y: Tensor,
    *,
    per: str = "neuron",
    loss: str = "kl",
    epochs: int = 20,
    rate: float = 1e-4,
    batch: int = 128,
    patience: int = 5,
    rounds: int = 1,
    bf16: bool = False,
    strict: bool = False,
    progress: Callable[[str, float, dict[str, float]], object] | None = None,
) -> tuple[IntegerGraph, dict[str, float]]:
    """Phase II: membranes, weights, membranes again, each from what the one before left; the best is kept. With other
    ``rounds`` than the paper's one, weights and membranes follow as often, or not at all.

    ``graph`` is the trained quantised network (rule ``lossless``); ``pixels`` (N, C, H, W) are integers of the training
    split (the authors use 1,024 images); ``held_x``, ``held_y`` are images held out of it, on which the best of these
    states is chosen, the start included: the authors choose by the test split, which would make its accuracy worthless.
    ``progress`` is called with (name of the state it works on, share of it, accuracies held out so far). Returns the
    spiking graph (rule ``causal``) and these accuracies, by name.
    """
    target = copy.deepcopy(graph).eval()
    target.rule = "lossless"
    spiking = spiking_copy(graph, "causal", strict)
    found = {"none": accuracy(spiking, held_x, held_y)}
    best = copy.deepcopy(spiking)
    names = ["membranes"]
    for n in range(1, rounds + 1):
        names += [f"weights {n}", f"membranes after {n}"]
    for name in names:

        def show(share: float, name: str = name) -> None:
            if progress:
                progress(name, share, found)

        if name.startswith("weights"):
            settings = {"loss": loss, "epochs": epochs, "rate": rate, "batch": batch, "patience": patience}
            calibrate_weights(spiking, target, pixels, bf16=bf16, progress=show, **settings)
        else:
            calibrate_membranes(spiking, target, pixels, per=per, progress=show)
        found[name] = accuracy(spiking, held_x, held_y)
        if found[name] > max(v for k, v in found.items() if k != name):
            best = copy.deepcopy(spiking)
    return best, found
