"""Weights rounded to their bits while batch norm still runs: the second phase of QCFS with the weights of the third."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

from .rounding import round_ste

__all__ = ["Rounded", "round_weights"]


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
    """Make every convolution and linear layer of ``model`` compute with :class:`Rounded` weights, in place."""
    modules = dict(model.named_modules(remove_duplicate=False))
    called = [modules[str(n.target)] for n in model.graph.nodes if n.op == "call_module"]
    layers = list(dict.fromkeys(m for m in called if isinstance(m, nn.Conv2d | nn.Linear)))
    for k, layer in enumerate(layers):
        last = k == len(layers) - 1
        bits = (last_bits if last else None) or (first_bits if not k else None) or weight_bits
        parametrize.register_parametrization(layer, "weight", Rounded(bits, common=last))
