"""A float graph while it is rewritten."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch

from ..layers import IMAGE, Layer, Shape, Weights

__all__ = ["Graph"]


class Graph:
    """Layers by name, each behind its sources, with sizes; ``answer`` is the one that gives the logits.

    ``shape`` (C, H, W) of the image; ``normalised``, mean and standard deviation (C,) of the image that layers take,
    where the model itself normalises it; ``dtype`` of the weights. A pass makes a new one: :meth:`changed`.
    """

    def __init__(
        self,
        layers: Iterable[Layer],
        answer: str,
        shape: Shape,
        normalised: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
    ) -> None:
        self.layers, self.answer, self.shape, self.normalised = list[Layer](), answer, shape, normalised
        self.shapes: dict[str, Shape] = {IMAGE: shape}
        self.kinds: dict[str, Layer] = {}
        self.takers: dict[str, list[Layer]] = {IMAGE: []}
        for layer in layers:
            before = [self.shapes[source] for source in layer.sources]
            layer = layer.sized(before)
            self.shapes[layer.name] = layer.shape(before)
            self.layers.append(layer)
            self.kinds[layer.name] = layer
            self.takers[layer.name] = []
            for source in dict.fromkeys(layer.sources):
                self.takers[source].append(layer)
        self.names = set(self.kinds)
        weights = [layer.weight for layer in self.layers if isinstance(layer, Weights)]
        self.dtype = weights[0].dtype if weights else torch.float32

    def changed(self, layers: Iterable[Layer], renamed: dict[str, str] | None = None) -> Graph:
        """``layers``, without those that nothing takes, in place of its own, where ``renamed`` says what gives the
        result of a layer that is no longer there."""
        renamed = renamed or {}

        def now(name: str) -> str:
            while name in renamed:
                name = renamed[name]
            return name

        found = [replace(layer, sources=tuple(now(source) for source in layer.sources)) for layer in layers]
        answer, kept = now(self.answer), list[Layer]()
        wanted = {answer}
        for layer in reversed(found):
            if layer.name in wanted or (layer.name in self.kinds and not self.takers[layer.name]):
                kept.append(layer)
                wanted |= set(layer.sources)
        return Graph(reversed(kept), answer, self.shape, self.normalised)

    def alone(self, layer: Layer) -> bool:
        """Whether one layer at most takes what ``layer`` gives, once."""
        return sum(taker.sources.count(layer.name) for taker in self.takers[layer.name]) <= 1

    def fresh(self, name: str) -> str:
        """``name``, or one made of it that no layer has."""
        found, number = name, 2
        while found in self.names:
            found, number = f"{name} ({number})", number + 1
        self.names.add(found)
        return found


    def depthwise(self, name: str, source: str, gain: torch.Tensor, bias: torch.Tensor) -> Weights:
        """gain * x + bias, (C,) each, as a layer with weights: a convolution of one weight a channel, or a diagonal
        matrix where it takes a vector."""
        gain, bias = gain.to(self.dtype, copy=True), bias.to(self.dtype, copy=True)
        if self.shapes[source][1:] == (1, 1):
            return Weights(name, (source,), torch.diag(gain), bias)
        return Weights(name, (source,), gain.view(-1, 1, 1, 1), bias, groups=len(gain))
