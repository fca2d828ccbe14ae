"""Zeros around a map as padding of the convolutions that take it."""

from __future__ import annotations

from dataclasses import replace

from ..layers import Layer, Pad, Weights, refuse
from .graph import Graph

__all__ = ["pads"]


def pads(graph: Graph) -> Graph:
    """``graph`` without Pad. Raises UnsupportedLayer for one that something else than a convolution takes."""
    for pad in graph.layers:
        if isinstance(pad, Pad):
            takers = graph.takers[pad.name]
            changed = {layer.name: _padded(layer, pad) for layer in takers}
            layers = [changed.get(layer.name, layer) for layer in graph.layers if layer is not pad]
            return pads(graph.changed(layers, {pad.name: pad.sources[0]}))
    return graph


def _padded(layer: Layer, pad: Pad) -> Layer:
    """``layer`` of a map without ``pad``."""
    if isinstance(layer, Weights) and layer.weight.ndim == 4 and len(set(pad.sides)) == 1:
        padding = layer.padding + pad.sides[0]
        if padding < min(layer.weight.shape[2:]):
            return replace(layer, padding=padding)
    left, right, top, bottom = pad.sides
    return refuse(
        pad.name,
        f"zeros around a map ({left} left, {right} right, {top} above, {bottom} below) in front of {layer.name}",
        "as many on all sides, fewer than the kernel has rows and columns, in front of a convolution",
    )
