"""Gain: channels between channels of 0, times their gains."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..ir.ops import Gain
from ..ir.signal import Signal
from .registry import by_channel, step_kernel


@step_kernel(Gain)
def _gain(node: Gain, x: Tensor, source: Signal) -> Tensor:
    after = len(node.gain) - node.offset - source.shape[0]
    x = F.pad(x[..., :: node.stride, :: node.stride], (0, 0, 0, 0, node.offset, after))
    return x * by_channel(node.gain).int()  # of spikes (int8) below 2^24; all else is wider, and stays so
