"""The neurons of :class:`~.qat.IntegerGraph`: the rules of ``nodes.IF`` on integer-valued floats, with gradients.

Shapes: currents (N, ...), or (N, T, ...) where they differ from step to step; ``theta``, ``bias`` and ``v0`` broadcast
to a time step. Going forward everything is exact as long as the sums are (see ``IntegerGraph``).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .nodes import Rule
from .rounding import substitute

__all__ = ["SLOPE", "counts", "trains"]

SLOPE = 2.5
"""Of the surrogate gradient of a spike, that of tanh(SLOPE * (v - theta) / theta) / 2 (Wang et al., arXiv 2205.07473,
whose slope is learned)."""


def counts(total: Tensor, theta: Tensor, v0: Tensor, steps: int, strict: bool) -> Tensor:
    """Spikes of the rule ``lossless``, 0..``steps``, for ``total``, the currents of all steps, bias included: the
    largest k with total + v0 >= k * theta (``strict``: >). The gradient is that of clip(total / theta, 0, T)."""
    with torch.no_grad():
        # Division rounds only once it is floored: torch.div computes the floor exactly.
        u = total + v0
        least = torch.div(-u, theta, rounding_mode="floor")
        found = -least - 1 if strict else torch.div(u, theta, rounding_mode="floor")
    return substitute((total / theta).clamp(0, steps), found.clamp(0, steps))


def trains(
    current: Tensor,
    theta: Tensor,
    v0: Tensor,
    steps: int,
    *,
    timed: bool,
    rule: Rule,
    strict: bool,
    through_time: bool = False,
) -> Tensor:
    """Spikes (N, T, ...) of the rules ``causal`` and ``signed`` for ``current``, bias included.

    The gradient is that of clip(sum_t current / theta, 0, T) / T in every step, whatever the order of the spikes;
    with ``through_time`` that of the membrane over the T steps, reset and all, with a surrogate for the spike test.
    """
    if through_time:
        return _run(current, theta, v0, steps, timed, rule, strict, soft=True)
    total = current.sum(1) if timed else current * steps
    with torch.no_grad():
        spikes = _run(current, theta, v0, steps, timed, rule, strict, soft=False)
    rate = (total / theta).clamp(0, steps) / steps
    return substitute(rate[:, None].expand_as(spikes), spikes) if torch.is_grad_enabled() else spikes


def _run(
    current: Tensor, theta: Tensor, v0: Tensor, steps: int, timed: bool, rule: Rule, strict: bool, *, soft: bool
) -> Tensor:
    v, trail = v0, []
    count = torch.zeros((), dtype=current.dtype, device=current.device)
    for t in range(steps):
        v = v + (current[:, t] if timed else current)
        with torch.no_grad():
            spike = ((v > theta) if strict else (v >= theta)).to(v.dtype)
            if rule == "signed":
                spike = spike - ((v < 0) & (count > 0)).to(v.dtype)
                count = count + spike
        if soft:
            up = torch.tanh(SLOPE * (v / theta - 1)) / 2
            if rule == "signed":
                up = up + torch.where(count - spike > 0, torch.tanh(SLOPE * v / theta) / 2, 0.0)
            spike = substitute(up, spike)
        trail.append(spike)
        v = v - spike * theta
    return torch.stack(trail, 1)
