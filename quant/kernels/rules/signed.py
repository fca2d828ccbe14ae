"""Rule signed: spikes step by step, of which one can be taken back."""

from __future__ import annotations

import torch
from torch import Tensor

from ...ir.ops import IF
from ..integrate_and_fire import by_step, rule_kernel
from ..registry import Inputs


@rule_kernel("signed")
def _signed(node: IF, inputs: Inputs) -> Tensor:
    current, threshold, bias, v = by_step(node, inputs)
    fires = torch.gt if node.strict else torch.ge
    spikes, count = torch.empty(current.shape, dtype=torch.int8), torch.zeros(v.shape, dtype=torch.int8)
    for t in range(inputs.steps):
        v += current[:, t]
        v += bias
        now = fires(v, threshold).char() - ((v < 0) & (count > 0)).char()
        count += now
        spikes[:, t] = now
        v -= now * threshold
    return spikes.sum(1) if inputs.summed else spikes
