"""SumPool and MaxPool: over windows, and the count gate."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..ir.bases.pooling import Pooling
from ..ir.ops import MaxPool, SumPool
from ..ir.signal import Signal
from ..ir.windows import each_side, each_way
from .registry import Inputs, each_step, kernel, step_kernel


@step_kernel(SumPool)
def _sum(node: SumPool, x: Tensor, _source: Signal) -> Tensor:
    return _windows(node, x).sum((-2, -1))


@kernel(MaxPool)
def _max(node: MaxPool, inputs: Inputs) -> Tensor:
    if inputs.sources[0].timed and not inputs.summed:
        most = _windows(node, inputs.x[0].cumsum(1)).amax((-2, -1))
        return most - F.pad(most, (0, 0, 0, 0, 0, 0, 1, 0))[:, :-1]
    return each_step(_largest, node, inputs)


def _largest(node: MaxPool, x: Tensor, _source: Signal) -> Tensor:
    return _windows(node, x).amax((-2, -1))


def _windows(node: Pooling, x: Tensor) -> Tensor:
    (ky, kx), (sy, sx), ((top, bottom), (left, right)) = (
        each_way(node.kernel), each_way(node.stride), each_side(node.padding)
    )  # fmt: skip
    return F.pad(x, (left, right, top, bottom)).unfold(-2, ky, sy).unfold(-2, kx, sx)
