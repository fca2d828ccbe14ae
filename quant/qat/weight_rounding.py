"""Weights rounded to their bits while batch norm still runs: the second phase of QCFS with the weights of the third."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

from ..conversion.rounding import round_ste
from ..frontends.layers import UnsupportedLayer

__all__ = ["Rounded", "check_own", "quantise", "round_weights", "synapses_of"]


class Rounded(nn.Module):
    """Weights as multiples of a scale with ``bits`` bits, the one that :mod:`~.rounding` will find: the smallest that
    holds the largest weight, one for each output channel, or one for all (``common``)."""

    def __init__(self, bits: int, common: bool) -> None:
        super().__init__()
        self.top, self.common = (1 << (bits - 1)) - 1, common

    def forward(self, weight: Tensor) -> Tensor:
        """The rounded weights; the gradient passes unchanged."""
        size = weight.detach().abs()
        largest = size.amax() if self.common else size.flatten(1).amax(1).view(-1, *[1] * (weight.ndim - 1))
        scale = torch.where(largest > 0, largest / self.top, torch.ones_like(largest))
        return round_ste(weight / scale) * scale


def round_weights(
    model: fx.GraphModule, *, weight_bits: int, first_bits: int | None = None, last_bits: int | None = None
) -> None:
    """Make every convolution and linear layer of ``model`` compute with :class:`Rounded` weights, in place.

    Raises UnsupportedLayer, naming the layer, as :func:`check_own` does.
    """
    layers = synapses_of(model)
    for k, (name, layer) in enumerate(layers.items()):
        last = k == len(layers) - 1
        bits = (last_bits if last else None) or (first_bits if not k else None) or weight_bits
        quantise(name, layer, Rounded(bits, common=last))


def synapses_of(model: fx.GraphModule) -> dict[str, nn.Module]:
    """The layers with weights by name, each once, in the order they are called in."""
    modules = dict(model.named_modules(remove_duplicate=False))
    found: dict[nn.Module, str] = {}
    for node in model.graph.nodes:
        if node.op == "call_module" and isinstance(layer := modules[str(node.target)], nn.Conv2d | nn.Linear):
            found.setdefault(layer, str(node.target))
    return {name: layer for layer, name in found.items()}


def check_own(name: str, layer: nn.Module, what: str) -> None:
    """Raise UnsupportedLayer, by ``name``, for weights that something else computes in every forward: which of the two
    came first would decide what is trained. ``what`` cannot be done to them."""
    if "weight" not in dict(layer.named_parameters(recurse=False)) or parametrize.is_parametrized(layer):
        raise UnsupportedLayer(
            f"{name}: its weight is computed in every forward, by weight_norm, pruning or another parametrisation, and "
            f"cannot be {what} too; remove that before (remove_weight_norm, prune.remove, remove_parametrizations)"
        )


def quantise(name: str, layer: nn.Module, quantiser: nn.Module) -> None:
    """Let ``layer`` compute with the weights that ``quantiser`` makes of its own."""
    check_own(name, layer, "quantised")
    parametrize.register_parametrization(layer, "weight", quantiser)
