"""A traced graph executed in floats, as the model itself would: what layers are compared by, and what is measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .layers import IMAGE, Layer, Weights

__all__ = ["results", "single"]

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
        found[layer.name] = torch.cat([layer.value(part) for part in parts])
        yield layer, found[layer.name]
        for source in dict.fromkeys(layer.sources):
            if last_use[source] == layer.name:
                del found[source]
