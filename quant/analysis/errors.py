"""What integers lose, layer by layer: the float graph and the network on the same images, whoever made the network."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import golden
from ..frontends.floats import results
from ..frontends.layers import Activation, Heads, Layer
from ..ir.network import Network

__all__ = ["Compared", "LayerNoise", "compare", "float_classes"]

CHUNK = 32
"""Images at a time, of which all layers are held."""

BEST = 120.0
"""Decibels that are shown where there is no error."""


class LayerNoise(NamedTuple):
    """``name`` of a layer; ``decibels``, signal to noise of its integers; ``silent``, share of the channels that gave 0
    for all images."""

    name: str
    decibels: float
    silent: float


class Compared(NamedTuple):
    """``layers``, and the classes (N,) that the floats and the integers give, ``floats`` and ``integers``, (0,) where
    they give maps."""

    layers: list[LayerNoise]
    floats: np.ndarray
    integers: np.ndarray


def float_classes(layers: Sequence[Layer], images: Tensor) -> np.ndarray:
    """The classes (N,) that the float graph gives for ``images``, as its model sees them."""
    found = []
    for part in images.split(CHUNK):
        *_, (_, answer) = results(layers, part)
        found.append(answer.argmax(1).numpy())
    return np.concatenate(found)


def compare(
    network: Network,
    layers: Sequence[Layer],
    pixels: np.ndarray,
    images: Tensor,
    progress: Callable[[int, int], None] | None = None,
) -> Compared:
    """``layers`` of a float graph on ``images``, as its model sees them, and ``network`` on the same as ``pixels``.

    A layer is compared by its name, where the network has such a node of the same shape: results that are summed over
    time, times the scale a channel that fits best, for how much a spike is worth is the method's own affair; of a map
    times what its ``units`` say, for whoever reads it takes that.
    """
    nodes = {node.name for node in network}
    names = {layer.name: layer.name for layer in layers if isinstance(layer, Activation) and layer.name in nodes}
    if isinstance(layers[-1], Heads):
        names |= {layer: node for layer, node in layers[-1].names.items() if node in nodes}
    units = json.loads(network.meta.get("units", "{}"))
    sums: dict[str, list[Tensor]] = {}
    floats, integers = list[np.ndarray](), list[np.ndarray]()
    for start in range(0, len(pixels), CHUNK):
        some = slice(start, start + CHUNK)
        got, answer = golden.run(network, pixels[some], keep=set(names.values())), None
        for layer, answer in results(layers, images[some]):
            if layer.name in names:
                node = names[layer.name]
                x = torch.from_numpy(got[node])
                x = x.sum(1) if network.signals[node].timed else x
                y = answer.reshape(len(answer), answer.shape[1], -1).double()
                if x.numel() != y.numel():
                    names = {name: other for name, other in names.items() if name != layer.name}
                    continue
                x = x.reshape(y.shape).double()
                new = [(x * y).sum((0, 2)), (x * x).sum((0, 2)), (y * y).sum((0, 2))]
                old = sums.get(layer.name)
                sums[layer.name] = new if old is None else [a + b for a, b in zip(old, new, strict=True)]
        assert answer is not None
        if network.classifies:
            floats.append(answer.argmax(1).numpy())
            integers.append(got.logits.argmax(1))
        if progress:
            progress(min(start + CHUNK, len(pixels)), len(pixels))
    found = [LayerNoise(name, *_noise(*sums[name], unit=units.get(names[name]))) for name in sums if name in names]
    none = np.zeros(0, np.int64)
    return Compared(found, *(np.concatenate(classes) if classes else none for classes in (floats, integers)))


def _noise(xy: Tensor, xx: Tensor, yy: Tensor, unit: float | None = None) -> tuple[float, float]:
    """Decibels and silent share from the sums over all images, a channel each; ``unit``, what a 1 of x is worth, None
    for what fits best."""
    worth = torch.where(xx > 0, xy / xx.clamp(min=1e-30), torch.zeros_like(xx)) if unit is None else unit
    lost = (yy - 2 * worth * xy + worth**2 * xx).clamp(min=0).sum().item()
    signal, silent = yy.sum().item(), (xx == 0).double().mean().item()
    if lost <= signal * 10 ** (-BEST / 10):
        return BEST, silent
    return 10 * math.log10(signal / lost), silent
