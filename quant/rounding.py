"""From float weights, biases and thresholds to integers: one place for training and for conversion.

Real quantities: a layer computes z = W x + b, fires with threshold lambda, and its input comes in steps of ``unit``
(1/high for pixels, the lambda of the layer before for spikes, divided by the area of a sum-pool). With one scale s
per output channel, W = s * w, everything is divided by s * unit:

    w = round(W / s)    threshold = round(lambda / (s * unit))    bias = round(b / (s * unit))

s is the smallest for which w fits its bits: that also makes the threshold, whose relative rounding error is at most
0.5 / threshold, as fine as it can be. Currents are integers by nature and never rounded. A negative batch-norm gain is
already in the sign of W. All functions are differentiable, straight through every rounding, and exact going forward.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["MAX_THRESHOLD", "floor_ste", "layer_integers", "readout_integers", "round_ste", "substitute"]

MAX_THRESHOLD = 1 << 16
"""Thresholds are kept at or below this: a channel of tiny weights gets a larger scale, not a wide membrane."""


class _Substitute(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, exact: Tensor) -> Tensor:
        return exact.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


def substitute(value: Tensor, exact: Tensor) -> Tensor:
    """``exact`` going forward, bit for bit (value + (exact - value) would round), and ``value`` for the gradient."""
    result = _Substitute.apply(value, exact)
    assert isinstance(result, Tensor)
    return result


def round_ste(x: Tensor) -> Tensor:
    """Round half to even; the gradient passes unchanged."""
    return substitute(x, x.detach().round())


def floor_ste(x: Tensor) -> Tensor:
    """Round down; the gradient passes unchanged."""
    return substitute(x, x.detach().floor())


def _flat(weight: Tensor) -> Tensor:
    return weight.flatten(1).abs()


def layer_integers(
    weight: Tensor, bias: Tensor, threshold: Tensor, unit: Tensor, bits: int, steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Integers (weight, threshold, bias) of a spiking layer, as float tensors; shapes of ``weight``, (Co,), (Co,).

    A channel whose weights are all zero (a batch norm of gain zero) has a constant output of
    k = clip(floor(T * b / lambda + 1/2), 0, T) spikes. It is converted exactly, with threshold T and bias k: every
    step adds k to a membrane that starts at T/2, and after T steps k spikes are out under either rule.
    """
    top = (1 << (bits - 1)) - 1
    largest = _flat(weight).amax(1).detach()
    scale = torch.maximum(largest / top, (threshold / unit).detach() / MAX_THRESHOLD)
    w = round_ste(weight / scale.view(-1, *[1] * (weight.ndim - 1))).clamp(-top, top)
    theta = round_ste(threshold / (scale * unit)).clamp(min=1)
    b = round_ste(bias / (scale * unit))
    dead = largest == 0
    count = floor_ste(bias * steps / threshold + 0.5).clamp(0, steps)
    return w, torch.where(dead, torch.full_like(theta, steps), theta), torch.where(dead, count, b)


def readout_integers(
    weight: Tensor, bias: Tensor, unit: Tensor, bits: int, terms: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Integers (weight, bias) of the last layer and what a logit of 1 is worth, for logits summed over ``terms`` steps.

    One scale for all classes, so that the largest integer is the largest logit.
    """
    top = (1 << (bits - 1)) - 1
    largest = _flat(weight).max().detach()
    scale = torch.where(largest > 0, largest / top, torch.ones_like(largest))
    value = scale * unit / terms
    return round_ste(weight / scale).clamp(-top, top), round_ste(bias / value), value
