"""Integrate-and-fire in training: exact spikes going forward, the gradient of a clipped line going back.

The gradient is that of clip(total / threshold, 0, T), total being the current of all T steps together. In every step it
is the same, so that going back needs the spike counts alone: spike trains, of rules that go step by step, carry no
gradient, and training with them costs T convolutions a layer going forward but one going back, as if time were not
there. :func:`through_time` is the other way: the gradient of the membrane over the T steps, reset and all.

``v0`` is the initial membrane, (C,) or (C, H, W), as whole as all the rest; ``strict`` puts > in place of >=.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from .rules import STEPS

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
    """The currents of a layer, without bias.

    ``steady`` (N, C, ...) are those of every step, ``timed`` (T, N, C, ...) those of each, and ``skips`` spikes
    (T, N, C, ...) and gains (C,), whose products are added, of shortcuts.
    """

    def __init__(
        self, steady: Tensor | None, timed: Sequence[Tensor] = (), skips: Sequence[tuple[Tensor, Tensor]] = ()
    ) -> None:
        self.steady, self.timed, self.skips = steady, timed, skips

    @property
    def like(self) -> Tensor:
        """Currents of a step."""
        if self.steady is not None:
            return self.steady
        return self.timed[0][0] if self.timed else self.skips[0][0][0]

    def each(self, bias: Tensor) -> Tensor:
        """What is the same in every step, ``bias`` (C,) included."""
        bias = over_channels(bias, self.like)
        return bias if self.steady is None else self.steady + bias


def trains(
    drive: Drive,
    theta: Tensor,
    bias: Tensor,
    v0: Tensor,
    steps: int,
    dtype: torch.dtype,
    *,
    rule: str = "causal",
    strict: bool = False,
) -> tuple[Tensor, Tensor]:
    """Spikes -1, 0 and 1 (T, N, C, ...) of a ``rule`` that goes step by step (``quant.qat.rules``) and their counts
    (N, C, ...), without gradient.

    ``theta`` and ``bias`` are (C,). The images of a step are in the memory format of the currents, their numbers
    ``dtype``.
    """
    like = drive.like
    theta, each = over_channels(theta, like), drive.each(bias)
    v = torch.zeros_like(like, dtype=theta.dtype) + over_channels(v0, like) + each
    found = _empty(steps, like, dtype)
    spikes, count, fire = torch.empty_like(v), torch.zeros_like(v), STEPS[rule]
    assert fire is not None
    gains = [over_channels(gain, like) for _, gain in drive.skips]
    for t in range(steps):
        if t:
            v += each
        for current in drive.timed:
            v += current[t]
        for (skip, _), gain in zip(drive.skips, gains, strict=True):
            v += skip[t].to(gain.dtype) * gain
        fire(v, theta, count, spikes, strict=strict)
        found[t] = spikes
        count += spikes
        v.addcmul_(spikes, theta, value=-1)
    return found, count


def _empty(steps: int, like: Tensor, dtype: torch.dtype) -> Tensor:
    """(T, N, C, ...), the images of a step in the memory format of ``like`` (N, C, ...)."""
    channels_last = like.ndim == 4 and like.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    size = (steps * len(like), *like.shape[1:])
    return torch.empty(size, dtype=dtype, device=like.device, memory_format=layout).unflatten(0, (steps, len(like)))


def through_time(
    drive: Drive,
    theta: Tensor,
    bias: Tensor,
    v0: Tensor,
    steps: int,
    dtype: torch.dtype,
    *,
    strict: bool = False,
) -> Tensor:
    """The spikes (T, N, C, ...), numbers ``dtype``, of the causal rule, with the gradient of the membrane over time:
    the reset passes it, and a spike has a surrogate's (:data:`SLOPE`)."""
    like = drive.like
    skips, gains = [skip for skip, _ in drive.skips], [over_channels(gain, like) for _, gain in drive.skips]
    shape = _Shape(steps, len(drive.timed), dtype, strict)
    found = _ThroughTime.apply(
        shape, over_channels(theta, like), drive.each(bias), over_channels(v0, like), *drive.timed, *skips, *gains
    )
    return cast(Tensor, found)


class _Shape(NamedTuple):
    steps: int
    timed: int
    dtype: torch.dtype
    strict: bool


BLOCK = 1 << 16
"""Neurons at a time, for all steps, so that what they need stays in the cache."""


def _blocks(like: Tensor) -> list[slice]:
    """Of images (N, C, ...)."""
    part = max(1, BLOCK * len(like) // like.numel()) if like.device.type == "cpu" else len(like)
    return [slice(k, k + part) for k in range(0, len(like), part)]


class _ThroughTime(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, shape: _Shape, theta: Tensor, each: Tensor, v0: Tensor, *inputs: Tensor) -> Tensor:
        timed = inputs[: shape.timed]
        n = (len(inputs) - shape.timed) // 2
        skips, gains = inputs[shape.timed : shape.timed + n], inputs[shape.timed + n :]
        like = each if each.ndim > theta.ndim else inputs[0][0]
        # Spikes, and membranes as 2 * SLOPE * (v - theta) / theta, before they fire.
        out, heights = (_empty(shape.steps, like, shape.dtype) for _ in range(2))
        test, most = torch.gt if shape.strict else torch.ge, torch.full_like(theta, -2 * SLOPE)
        high = 2 * SLOPE / theta
        for at in _blocks(like):
            v = torch.zeros_like(like[at], dtype=theta.dtype) + v0
            now, spikes = torch.empty_like(v), torch.empty_like(v)
            for t in range(shape.steps):
                v += each[at] if each is like else each
                for current in timed:
                    v += now.copy_(current[t, at])
                for skip, gain in zip(skips, gains, strict=True):
                    v.addcmul_(now.copy_(skip[t, at]), gain)
                test(v, theta, out=spikes)
                out[t, at] = spikes
                heights[t, at] = torch.addcmul(most, v, high, out=now)
                v.addcmul_(spikes, theta, value=-1)
        ctx.save_for_backward(theta, out, heights, *skips, *gains)
        ctx.shape, ctx.each_shape, ctx.v0_shape = shape, each.shape, v0.shape
        ctx.dtypes = [x.dtype for x in timed]
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        theta, out, heights, *more = ctx.saved_tensors
        shape, like, of_spikes = ctx.shape, out[0], grads[0]
        skips, gains = more[: len(more) // 2], more[len(more) // 2 :]
        back = _empty(shape.steps, like, shape.dtype) if ctx.dtypes else None
        of_skips = [_empty(shape.steps, like, skip.dtype) for skip in skips]
        of_gains, of_theta = [torch.zeros_like(gain) for gain in gains], torch.zeros_like(theta)
        of_each, of_v0 = (theta.new_zeros(x) for x in (ctx.each_shape, ctx.v0_shape))
        axes, steep = (0, *range(2, like.ndim)), 2 * SLOPE / theta
        for at in _blocks(like):
            # Of the membrane behind a step; what of it all steps' sums need.
            v = torch.zeros_like(like[at], dtype=theta.dtype)
            total, worth, now, height = (torch.zeros_like(v) for _ in range(4))
            of_gain = [torch.zeros_like(v) for _ in gains]
            for t in reversed(range(shape.steps)):
                worth.addcmul_(now.copy_(out[t, at]), v)
                now.copy_(of_spikes[t, at]).addcmul_(v, theta, value=-1)
                height.copy_(heights[t, at])
                # tanh(x)' = 4 s (1 - s), s = sigmoid(2 x), and a sigmoid takes a sixth of the time.
                spike = height.sigmoid()
                now.mul_(spike.addcmul_(spike, spike, value=-1)).mul_(steep)
                worth.addcmul_(now, height, value=1 / (2 * SLOPE))
                v += now
                total += v
                if back is not None:
                    back[t, at] = v
                for of_skip, skip, gain, of in zip(of_skips, skips, gains, of_gain, strict=True):
                    of_skip[t, at] = v * gain
                    of.addcmul_(now.copy_(skip[t, at]), v)
            # A threshold takes from the membrane, and the height is relative to it; now sums up to v.
            of_theta -= (worth + v).sum(axes).view_as(theta)
            if len(ctx.each_shape) == like.ndim:
                of_each[at] = total
            else:
                of_each += total.sum_to_size(ctx.each_shape)
            of_v0 += v.sum_to_size(ctx.v0_shape)
            for found, of in zip(of_gains, of_gain, strict=True):
                found += of.sum(axes).view_as(found)
        of_timed = [back if dtype == shape.dtype or back is None else back.to(dtype) for dtype in ctx.dtypes]
        return None, of_theta, of_each, of_v0, *of_timed, *of_skips, *of_gains
