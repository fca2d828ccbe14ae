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
    # u >= k * threshold is u // threshold >= k, and of integers u > k * threshold is u - 1 >= k * threshold.
    count = torch.div(u - int(node.strict), threshold, rounding_mode="floor").clamp_(node.low, steps)
    if inputs.summed:
        return count
    spikes = (torch.arange(steps).view(-1, 1, 1, 1) < count[:, None].abs()).long()
    return spikes * count[:, None].sign() if node.low else spikes
