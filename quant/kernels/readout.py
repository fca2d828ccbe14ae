"""Readout: the sum of the answer over time."""

from __future__ import annotations

import torch
from torch import Tensor

from ..ir.ops import Readout
from .registry import Inputs, kernel


@kernel(Readout)
def _readout(node: Readout, inputs: Inputs) -> Tensor:
    x = inputs.total() if inputs.sources[0].timed else inputs.x[0]
    return x.flatten(1) + torch.from_numpy(node.bias.copy())
