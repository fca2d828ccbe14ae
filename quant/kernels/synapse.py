"""Conv2d and Linear: one convolution, in a type in which it is exact."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..ir.ops import Conv2d, Linear, Synapse
from ..ir.signal import Signal
from ..ir.windows import Pair, each_way
from .exact import exact_dtype
from .registry import by_channel, step_kernel

__all__ = ["convolve"]


@step_kernel(Conv2d)
def _conv2d(node: Conv2d, x: Tensor, source: Signal) -> Tensor:
    weight = torch.from_numpy(node.weight.copy())
    (top, bottom), (left, right) = node.windows.padding
    stride, padding, dilation = each_way(node.stride), (top, left), each_way(node.dilation)
    if node.pad is not None:
        high, wide = x.shape[2:]
        framed = by_channel(node.pad).to(x.dtype).expand(len(x), -1, top + high + bottom, left + wide + right).clone()
        framed[:, :, top : top + high, left : left + wide] = x
        x, padding = framed, (0, 0)
    elif (top, left) != (bottom, right):
        x, padding = F.pad(x, (left, right, top, bottom)), (0, 0)
    return convolve(x, weight, stride, padding, exact_dtype(_most(node, source)), node.groups, dilation)


@step_kernel(Linear)
def _linear(node: Linear, x: Tensor, source: Signal) -> Tensor:
    weight = torch.from_numpy(node.weight.copy())
    return convolve(x, weight[:, :, None, None], 1, 0, exact_dtype(_most(node, source)))


def _most(node: Synapse, source: Signal) -> int:
    """The largest magnitude that any partial sum can have: max over outputs of sum|w| * max|x|."""
    return int(np.abs(node.weight).reshape(len(node.weight), -1).sum(1).max()) * max(-source.low, source.high)


def convolve(
    x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dtype: torch.dtype, groups: int = 1, dilation: Pair = 1
) -> Tensor:
    """Convolve integers ``x`` (N, Ci, H, W) with ``weight`` (Co, Ci / groups, Ky, Kx), computing in ``dtype``; the
    result is int32 for float32, whose sums are below 2^24, else int64."""
    if dtype is not torch.int64:
        # oneDNN (PyTorch 2.13) reads beyond an image of one channel in this format where a result is one pixel wide.
        x = x.to(dtype, memory_format=torch.channels_last if x.shape[1] > 1 else torch.contiguous_format)
        y = F.conv2d(x, weight.to(dtype), stride=stride, padding=padding, dilation=dilation, groups=groups)
        return y.to(torch.int32 if dtype is torch.float32 else torch.int64, memory_format=torch.contiguous_format)
    if groups > 1:
        parts = zip(x.chunk(groups, 1), weight.chunk(groups), strict=True)
        return torch.cat([convolve(a, w, stride, padding, dtype, dilation=dilation) for a, w in parts], 1)
    (sy, sx), (py, px), (dy, dx) = each_way(stride), each_way(padding), each_way(dilation)
    co, _, ky, kx = weight.shape
    taps = F.pad(x.long(), (px, px, py, py)).unfold(2, (ky - 1) * dy + 1, sy).unfold(3, (kx - 1) * dx + 1, sx)
    taps = taps[..., ::dy, ::dx].permute(0, 2, 3, 1, 4, 5)
    return (taps.reshape(*taps.shape[:3], -1) @ weight.view(co, -1).T).permute(0, 3, 1, 2)
