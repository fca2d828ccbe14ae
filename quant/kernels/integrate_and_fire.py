"""Neurons: their spikes, step by step or by their number."""

from __future__ import annotations

import torch
from torch import Tensor

from ..ir.ops import IF
from .registry import Inputs, by_channel, kernel


@kernel(IF)
def _neurons(node: IF, inputs: Inputs) -> Tensor:
    steps = inputs.steps
    if node.rule == "lossless":
        count = _count(node, inputs.total(), steps)
        return count if inputs.summed else (torch.arange(steps).view(-1, 1, 1, 1) < count[:, None]).long()
    x = inputs.x[0]
    spikes = _fire(node, x if inputs.sources[0].timed else x[:, None].expand(-1, steps, -1, -1, -1), steps)
    return spikes.sum(1) if inputs.summed else spikes


def _membrane(node: IF) -> Tensor:
    return torch.from_numpy(node.v0.copy()) if node.v0.ndim == 3 else by_channel(node.v0)


def _count(node: IF, total: Tensor, steps: int) -> Tensor:
    """Spikes (N, C, H, W) of lossless neurons, from the sum of their currents over time."""
    u, threshold = _membrane(node) + total + steps * by_channel(node.bias), by_channel(node.threshold)
    fires = torch.gt if node.strict else torch.ge
    count = torch.zeros_like(u)
    for k in range(1, steps + 1):
        count += fires(u, k * threshold)
    return count


def _fire(node: IF, current: Tensor, steps: int) -> Tensor:
    """Spikes (N, T, C, H, W) of causal and signed neurons."""
    threshold, bias, v = by_channel(node.threshold), by_channel(node.bias), _membrane(node)
    if current.dtype == torch.int32 and max(int(x.abs().max()) for x in (threshold, bias, v)) < 1 << 23:
        # Currents are below 2^24 then, and 64 steps of them below 2^31 with all the rest.
        threshold, bias, v = threshold.int(), bias.int(), v.int()
    fires = torch.gt if node.strict else torch.ge
    v = v.expand_as(current[:, 0]).clone()
    spikes, count = torch.empty(current.shape, dtype=torch.int8), torch.zeros(v.shape, dtype=torch.int8)
    for t in range(steps):
        v += current[:, t]
        v += bias
        now = fires(v, threshold)
        if node.rule == "signed":
            now = now.char() - ((v < 0) & (count > 0)).char()
            count += now
        spikes[:, t] = now
        v -= now * threshold
    return spikes
