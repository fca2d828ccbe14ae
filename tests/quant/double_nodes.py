"""Every node of a network of values once more, by plain PyTorch in float64, which is exact below 2^53: from the
equations of docs/network.md, with none of the kernels."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from spikeloom.quant.ir.ops import Add, Conv2d, Flatten, Gain, Input, Linear, MaxPool, Node, Readout, Requant, SumPool

__all__ = ["evaluated"]


def evaluated(node: Node, x: list[Tensor]) -> Tensor:
    """What ``node`` gives for the results ``x`` of its sources, (N, C, H, W) each, float64; the logits (N, classes)."""
    match node:
        case Input() | Add():
            return torch.stack(x).sum(0)
        case Conv2d():
            zero = 0 if node.pad is None else channels(node.pad)
            inside = F.pad(x[0] - zero, sides(node.padding)) + zero
            weight, dilation = torch.tensor(node.weight).double(), getattr(node, "dilation", 1)
            return F.conv2d(inside, weight, stride=node.stride, dilation=dilation, groups=node.groups)
        case Linear():
            return (x[0].flatten(1) @ torch.tensor(node.weight).double().T)[:, :, None, None]
        case Gain():
            some = x[0][:, :, :: node.stride, :: node.stride]
            after = len(node.gain) - node.offset - some.shape[1]
            return F.pad(some, (0, 0, 0, 0, node.offset, after)) * channels(node.gain)
        case SumPool():
            area = node.kernel**2 if isinstance(node.kernel, int) else node.kernel[0] * node.kernel[1]
            return (F.avg_pool2d(padded(node, x[0]), node.kernel, node.stride) * area).round()
        case MaxPool():
            return F.max_pool2d(padded(node, x[0]), node.kernel, node.stride)
        case Flatten():
            return x[0].flatten(1)[:, :, None, None]
        case Requant():
            return ((x[0] - channels(node.bias)) * 2.0 ** -channels(node.shift)).floor().clamp(node.lo, node.hi)
        case Readout():
            return x[0].flatten(1) + torch.tensor(node.bias)
    raise AssertionError(node)


def channels(numbers: Any) -> Tensor:
    """(C,) as (C, 1, 1)."""
    return torch.tensor(numbers).double().view(-1, 1, 1)


def padded(node: Any, x: Tensor) -> Tensor:
    return F.pad(x, sides(getattr(node, "padding", 0)))


def sides(padding: Any) -> list[int]:
    """One number, (rows, columns) or (top, bottom, left, right) as F.pad takes them."""
    if isinstance(padding, int):
        return [padding] * 4
    top, bottom, left, right = padding if len(padding) == 4 else (padding[0], padding[0], padding[1], padding[1])
    return [left, right, top, bottom]
