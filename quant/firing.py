"""Integrate-and-fire in training: exact spikes going forward, the gradient of a clipped line going back.

The gradient is that of clip(total / threshold, 0, T), total being the current of all T steps together. In every step it
is the same, so that going back needs the spike counts alone: spike trains (rules ``causal`` and ``signed``) carry no
gradient, and training with them costs T convolutions a layer going forward but one going back, as if time were not
there. :func:`through_time` is the other way: the gradient of the membrane over the T steps, reset and all.

``v0`` is the initial membrane, (C,) or (C, H, W), as whole as all the rest; ``strict`` puts > in place of >=.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from .nodes import Rule
from .rounding import substitute

__all__ = ["SLOPE", "Drive", "counts", "over_channels", "through_time", "trains"]

SLOPE = 2.5
"""Of the surrogate gradient of a spike, that of tanh(SLOPE * (v - theta) / theta) / 2 (Wang et al., arXiv 2205.07473,
where it is learned)."""


def over_channels(x: Tensor, like: Tensor) -> Tensor:
    """Values (C,) as they combine with ``like`` (N, C, ...); those of each neuron as they are."""
    return x.view(-1, *[1] * (like.ndim - 2)) if x.ndim == 1 else x


class _Counts(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, total: Tensor, theta: Tensor, steps: int, v0: Tensor, strict: bool, known: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(total, theta)
        ctx.v0_shape = v0.shape
        ctx.steps = steps
        if known is not None:
            return known.clone()
        # The largest k with total + v0 >= k * theta, or >. The quotient is rounded, but to no integer that it is not:
        # that would take a number of more digits than the type has, and all those here are integers that it holds.
        quotient = (total + v0) / theta
        return (quotient.ceil_().sub_(1) if strict else quotient.floor_()).clamp_(0, steps)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, Tensor | None, None, None]:
        total, theta = ctx.saved_tensors
        grad = grads[0] / theta
        # Comparisons that give 0.0 and 1.0 are several times as fast as booleans, here and below.
        grad *= torch.ge(total, torch.zeros_like(theta), out=torch.empty_like(total))
        grad *= torch.le(total, ctx.steps * theta, out=torch.empty_like(total))
        axes = (0, *range(2, total.ndim))
        of_theta = -((grad * total).sum(axes) / theta.flatten()).view_as(theta)
        of_v0 = grad.sum_to_size(ctx.v0_shape) if ctx.needs_input_grad[3] else None
        return grad, of_theta, None, of_v0, None, None


def counts(
    total: Tensor, theta: Tensor, steps: int, v0: Tensor, *, strict: bool = False, known: Tensor | None = None
) -> Tensor:
    """Spike counts (N, C, ...) 0..``steps`` for currents ``total`` of all steps, bias included, and thresholds (C,).

    Those of the lossless rule, or ``known``, those of another rule; the gradient is the same, that of ``v0`` the
    currents', summed.
    """
    theta, v0 = over_channels(theta, total), over_channels(v0, total)
    return cast(Tensor, _Counts.apply(total, theta, steps, v0, strict, known))


class Drive:
    """The currents of a layer: ``steady`` (N, C, ...), of every step, and ``timed``, which give those of step t."""

    def __init__(self, steady: Tensor | None, timed: Sequence[Callable[[int], Tensor]]) -> None:
        self.steady, self.timed = steady, timed
        self.first = [current(0) for current in timed]

    @property
    def like(self) -> Tensor:
        """A current."""
        found = self.first[0] if self.first else self.steady
        assert found is not None
        return found

    def each(self, bias: Tensor) -> Tensor:
        """What is the same in every step, ``bias`` (C,) included."""
        bias = over_channels(bias, self.like)
        return bias if self.steady is None else self.steady + bias

    def at(self, t: int) -> list[Tensor]:
        """What step t alone has."""
        return self.first if not t else [current(t) for current in self.timed]


def trains(
    drive: Drive,
    theta: Tensor,
    bias: Tensor,
    v0: Tensor,
    steps: int,
    dtype: torch.dtype,
    *,
    rule: Rule = "causal",
    strict: bool = False,
) -> tuple[Tensor, Tensor]:
    """Spikes -1, 0 and 1 (T, N, C, ...) of the rules causal and signed and their counts (N, C, ...), without gradient.

    ``theta`` and ``bias`` are (C,). The images of a step are in the memory format of the currents, their numbers
    ``dtype``.
    """
    like = drive.like
    theta, each = over_channels(theta, like), drive.each(bias)
    v = torch.zeros_like(like) + over_channels(v0, like) + each
    channels_last = v.ndim == 4 and v.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    out = torch.empty((steps * len(v), *v.shape[1:]), dtype=dtype, device=v.device, memory_format=layout)
    found = out.unflatten(0, (steps, len(v)))
    spikes, count, test = torch.empty_like(v), torch.zeros_like(v), torch.gt if strict else torch.ge
    for t in range(steps):
        if t:
            v += each
        for now in drive.at(t):
            v += now
        test(v, theta, out=spikes)
        if rule == "signed":
            spikes -= torch.lt(v, torch.zeros_like(theta), out=torch.empty_like(v)) * count.sign()
        found[t] = spikes
        count += spikes
        v.addcmul_(spikes, theta, value=-1)
    return found, count


def through_time(
    drive: Drive, theta: Tensor, bias: Tensor, v0: Tensor, steps: int, *, strict: bool = False
) -> Tensor:
    """The spikes (T, N, C, ...) of the causal rule, with the gradient of the membrane over time: the reset passes it,
    and a spike has a surrogate's (:data:`SLOPE`)."""
    theta, each = over_channels(theta, drive.like), drive.each(bias)
    v, found = over_channels(v0, drive.like), []
    for t in range(steps):
        v = sum(drive.at(t), v + each)
        spikes = (v > theta if strict else v >= theta).to(v.dtype)
        found.append(substitute(torch.tanh(SLOPE * (v / theta - 1)) / 2, spikes))
        v = v - found[-1] * theta
    return torch.stack(found)
