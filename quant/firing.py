"""Integrate-and-fire in training: exact spikes going forward, the gradient of a clipped line going back.

The gradient is that of clip(total / threshold, 0, T), total being the current of all T steps together. In every step it
is the same, so that going back needs the spike counts alone: the trains of the causal rule carry no gradient, and its
training costs T convolutions a layer going forward but one going back, as if time were not there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor

__all__ = ["counts", "over_channels", "trains"]


def over_channels(x: Tensor, like: Tensor) -> Tensor:
    """Values (C,) as they combine with ``like`` (N, C, ...)."""
    return x.view(-1, *[1] * (like.ndim - 2))


class _Counts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, total: Tensor, theta: Tensor, steps: int, known: Tensor | None) -> Tensor:
        ctx.save_for_backward(total, theta)
        ctx.steps = steps
        if known is not None:
            return known.clone()
        # floor(total / theta + 1/2). The quotient is rounded, but to no integer above it: that would take a number of
        # more digits than the type has, and all those here are integers that it holds.
        return ((2 * total + theta) / (2 * theta)).floor_().clamp_(0, steps)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        total, theta = ctx.saved_tensors
        grad = grads[0] / theta
        # Comparisons that give 0.0 and 1.0 are several times as fast as booleans, here and below.
        grad *= torch.ge(total, torch.zeros_like(theta), out=torch.empty_like(total))
        grad *= torch.le(total, ctx.steps * theta, out=torch.empty_like(total))
        axes = (0, *range(2, total.ndim))
        return grad, -((grad * total).sum(axes) / theta.flatten()).view_as(theta), None, None


def counts(total: Tensor, theta: Tensor, steps: int, known: Tensor | None = None) -> Tensor:
    """Spike counts (N, C, ...) 0..``steps`` for currents ``total`` of all steps, bias included, and thresholds (C,).

    Those of the lossless rule, clip(floor(total / theta + 1/2), 0, T), or ``known``, those of another rule; the
    gradient is the same.
    """
    return cast(Tensor, _Counts.apply(total, over_channels(theta, total), steps, known))


def trains(
    steady: Tensor | None, timed: Sequence[Callable[[int], Tensor]], theta: Tensor, bias: Tensor, steps: int,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Spikes 0 and 1 (T, N, C, ...) of the causal rule and their counts (N, C, ...), without gradient.

    ``steady`` (N, C, ...) is the current of every step, ``timed`` give those of step t; ``theta`` and ``bias`` are
    (C,), v0 = floor(theta / 2). The images of a step are in the memory format of the currents, their numbers ``dtype``.
    """
    first = [current(0) for current in timed]
    like = first[0] if first else steady
    assert like is not None
    theta, bias = over_channels(theta, like), over_channels(bias, like)
    each = bias if steady is None else steady + bias
    v = torch.floor(theta / 2) + each + torch.zeros_like(like)
    channels_last = v.ndim == 4 and v.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    found = torch.empty((steps * len(v), *v.shape[1:]), dtype=dtype, device=v.device, memory_format=layout)
    found = found.unflatten(0, (steps, len(v)))
    spikes, count = torch.empty_like(v), torch.zeros_like(v)
    for t in range(steps):
        if t:
            v += each
        for k, current in enumerate(timed):
            v += current(t) if t else first[k]
        torch.ge(v, theta, out=spikes)
        found[t] = spikes
        count += spikes
        v.addcmul_(spikes, theta, value=-1)
    return found, count
