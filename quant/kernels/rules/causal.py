"""Rule causal: spikes step by step."""

from __future__ import annotations

import torch
from torch import Tensor

from ...ir.ops import IF
from ..integrate_and_fire import by_step, rule_kernel
from ..registry import Inputs


@rule_kernel("causal")
def _causal(node: IF, inputs: Inputs) -> Tensor:
    current, threshold, bias, v = by_step(node, inputs)
    fires = torch.gt if node.strict else torch.ge
    spikes = torch.empty(current.shape, dtype=torch.int8)
    for t in range(inputs.steps):
        v += current[:, t]
        v += bias
        spikes[:, t] = now = fires(v, threshold)
        v -= now * threshold
    return spikes.sum(1) if inputs.summed else spikes
