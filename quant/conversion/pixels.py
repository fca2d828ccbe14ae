"""A float graph that takes normalised images, (x - mean) / std, as one that takes plain x in 0..1.

The first layers with weights take mean and std into theirs. That is exact but for padding: behind the edge of the image
a convolution sees zeros, which were the mean and are now black.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..frontends.layers import IMAGE, Layer, Passing, Weights, refuse

__all__ = ["of_plain_pixels"]

REMEDY = "a convolution or linear layer, behind pools or a flatten at most, that takes the image with its mean and std"


def of_plain_pixels(
    layers: Sequence[Layer], shape: tuple[int, int, int], mean: Sequence[float], std: Sequence[float]
) -> tuple[list[Layer], list[str]]:
    """``layers``, which take (x - ``mean``) / ``std`` (C,), such that they take x; and the names of those whose padding
    was the mean and is now 0. Raises UnsupportedLayer for another layer than :data:`REMEDY`."""
    slope = 1 / torch.tensor(std, dtype=torch.float64)
    passed: dict[str, tuple[Tensor, Tensor]] = {IMAGE: (slope, -torch.tensor(mean, dtype=torch.float64) * slope)}
    sizes = {IMAGE: shape}
    made, padded = list[Layer](), list[str]()
    for layer in layers:
        if not set(layer.sources) & set(passed):
            made.append(layer)
            continue
        a, b = passed[layer.sources[0]]
        match layer:
            case Weights():
                made.append(_folded(layer, a, b))
                if layer.convolution.pads and bool((b != 0).any()):
                    padded.append(layer.name)
                continue
            case Passing() if len(layer.sources) == 1:
                before = sizes[layer.sources[0]]
                cells = before[1] * before[2]
                a, b = layer.channels([a], cells), layer.offset([b], cells)
                sizes[layer.name] = layer.shape([before])
            case _:
                refuse(layer.name, f"{type(layer).__name__} of a normalised image", REMEDY)
        passed[layer.name] = a, b
        made.append(layer)
    return made, padded


def _folded(layer: Weights, a: Tensor, b: Tensor) -> Weights:
    """``layer`` of x where it took a * x + b, channel by channel."""
    w = layer.weight.double()
    channels = w.shape[1]
    # Row o of a grouped convolution takes the channels of its group.
    group = torch.arange(len(w)) // (len(w) // layer.groups)
    taken = group[:, None] * channels + torch.arange(channels)
    ones = (1,) * (w.ndim - 2)
    bias = layer.bias.double() + (w.flatten(2).sum(2) if w.ndim > 2 else w).mul(b[taken]).sum(1)
    weight = w * a[taken].view(len(w), channels, *ones)
    return replace(layer, weight=weight.to(layer.weight.dtype), bias=bias.to(layer.bias.dtype))
