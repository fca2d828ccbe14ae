"""Rule lossless: the number of spikes, from the sum of the currents over time."""

from __future__ import annotations

import torch
from torch import Tensor

from ...ir.ops import IF
from ..integrate_and_fire import membrane, rule_kernel
from ..registry import Inputs, by_channel


@rule_kernel("lossless")
def _lossless(node: IF, inputs: Inputs) -> Tensor:
    steps = inputs.steps
    u, threshold = membrane(node) + inputs.total() + steps * by_channel(node.bias), by_channel(node.threshold)
    fires = torch.gt if node.strict else torch.ge
    count = torch.full_like(u, node.low)
    for k in range(node.low + 1, steps + 1):
        count += fires(u, k * threshold)
    if inputs.summed:
        return count
    spikes = (torch.arange(steps).view(-1, 1, 1, 1) < count[:, None].abs()).long()
    return spikes * count[:, None].sign() if node.low else spikes
