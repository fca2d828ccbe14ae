"""The float graph of a NIR graph: neurons as the rates of their spikes, clamps to 0..1, for methods that quantise."""

from __future__ import annotations

import numpy as np
import torch

from ..float_graph import FloatGraph
from ..layers import IMAGE, Activation, Flat, Layer, Pool, Weights, refuse
from .parts import Chain, Fires, Sums, Weighted, convolved, pooled
from .parts import Flat as Flattened

__all__ = ["float_graph"]


def float_graph(chain: Chain) -> FloatGraph:
    """The rates of ``chain``, of many time steps: z spikes a step for a mean current of z thresholds, in 0..1. Raises
    UnsupportedLayer for a file that takes integers of its own."""
    if chain.high is not None:
        refuse(chain.image, "an image of integers with a method", "no method (--method): the file has integers already")
    layers, before = list[Layer](), IMAGE
    for part, after in zip(chain.parts, (*chain.parts[1:], None), strict=True):
        name, sources = part.name, (before,)
        match part:
            case Weighted():
                by = after.threshold if isinstance(after, Fires) else np.ones(len(part.weight))
                weight = part.weight / by.reshape(-1, *(1,) * (part.weight.ndim - 1))
                layers.append(Weights(name, sources, _single(weight), _single(part.bias / by), **convolved(part)))
            case Fires():
                layers.append(Activation(name, sources, high=1.0))
            case Sums():
                layers.append(Pool(name, sources, "average", **pooled(part.windows), divisor=1))
            case Flattened():
                layers.append(Flat(name, sources))
        before = name
    return FloatGraph.of(layers, before, chain.shape)


def _single(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x.astype(np.float32))
