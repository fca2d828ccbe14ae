"""A traced graph executed in floats, as the model itself would: what layers are compared by, and what is measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .layers import IMAGE, Activation, Flat, Layer, Pool, Shortcut, Sum, Weights

__all__ = ["results", "single", "value_of"]

CHUNK = 128
"""Images at a time, within a layer."""


def single(layers: Sequence[Layer]) -> list[Layer]:
    """``layers`` in single precision, in which images come."""
    return [
        replace(layer, weight=layer.weight.float(), bias=layer.bias.float()) if isinstance(layer, Weights) else layer
        for layer in layers
    ]


@torch.no_grad()
def results(layers: Sequence[Layer], images: Tensor) -> Iterator[tuple[Layer, Tensor]]:
    """Every layer of ``layers`` of a float graph with what it gives for ``images`` (N, C, H, W), as the model sees
    them; activations compute their own module, or a ReLU. Results are let go once no layer needs them."""
    found = {IMAGE: images}
    last_use = {source: layer.name for layer in layers for source in layer.sources}
    for layer in layers:
        parts = zip(*(found[source].split(CHUNK) for source in layer.sources), strict=True)
        found[layer.name] = torch.cat([value_of(layer, part) for part in parts])
        yield layer, found[layer.name]
        for source in dict.fromkeys(layer.sources):
            if last_use[source] == layer.name:
                del found[source]


def value_of(layer: Layer, x: Sequence[Tensor]) -> Tensor:
    """What ``layer`` gives for the results ``x`` of its sources; an activation computes its own module."""
    match layer:
        case Weights() if layer.weight.ndim == 2:
            return F.linear(x[0], layer.weight, layer.bias)
        case Weights():
            return F.conv2d(x[0], layer.weight, layer.bias, layer.stride, layer.padding, groups=layer.groups)
        case Shortcut():
            part = x[0][..., :: layer.stride, :: layer.stride] if x[0].ndim == 4 else x[0]
            return F.pad(part, (*[0, 0] * (part.ndim - 2), layer.before, layer.after))
        case Sum():
            return torch.stack(tuple(x)).sum(0)
        case Activation():
            return x[0].relu() if layer.qcfs is None else layer.qcfs(x[0])
        case Pool(kind="average"):
            return F.avg_pool2d(x[0], layer.kernel, layer.stride, divisor_override=layer.divisor or None)
        case Pool():
            return F.max_pool2d(x[0], layer.kernel, layer.stride)
        case Flat():
            return x[0].flatten(1)
    raise TypeError(f"{layer.name}: no float form of {type(layer).__name__}")
