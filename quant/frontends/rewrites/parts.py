"""Concatenations and choices of channels: what takes one takes its parts.

A convolution over the channels of several layers is the sum of one convolution over each; a pool, a flattening, an
activation or a factor a channel works on each by itself; in a sum a part is a shortcut to its channels. So numbers stay
where they are: no layer, and no hardware, for moving them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from ..layers import (
    IMAGE,
    Activation,
    Concat,
    Flat,
    Heads,
    Layer,
    Norm,
    Passing,
    Resample,
    Select,
    Shortcut,
    Sum,
    Weights,
    refuse,
)
from .graph import Graph

__all__ = ["parts"]

Cell = tuple[str, int]
"""A layer and one of its channels."""


def parts(graph: Graph) -> Graph:
    """``graph`` without Concat and Select. Raises UnsupportedLayer for a layer that cannot take parts."""
    if not any(isinstance(layer, Concat | Select) for layer in graph.layers):
        return graph
    work = _Parts(graph)
    for layer in graph.layers:
        work.add(layer)
    if graph.answer not in work.made:
        work.head(graph.answer)
    return graph.changed(work.layers)


class _Parts:
    """``layers``, the new ones, of the names ``made``; ``cells``, where every channel of an old result is."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.layers, self.made = graph, list[Layer](), set[str]()
        self.channels = {name: shape[0] for name, shape in graph.shapes.items()}  # of old and new ones
        self.cells: dict[str, list[Cell]] = {IMAGE: self._own(IMAGE)}

    def _own(self, name: str) -> list[Cell]:
        return [(name, k) for k in range(self.channels[name])]

    def put(self, layer: Layer, channels: int) -> None:
        """A new layer."""
        self.layers.append(layer)
        self.made.add(layer.name)
        self.channels[layer.name] = channels

    def add(self, layer: Layer) -> None:
        """The new layers for an old one."""
        given = [self.cells[source] for source in layer.sources]
        if isinstance(layer, Concat):
            self.cells[layer.name] = [cell for part in given for cell in part]
        elif isinstance(layer, Select):
            self.cells[layer.name] = [given[0][k] for k in layer.channels]
        elif all(part == self._own(source) for part, source in zip(given, layer.sources, strict=True)):
            self.put(layer, self.channels[layer.name])
            self.cells[layer.name] = self._own(layer.name)
        elif isinstance(layer, Sum):
            self._sum(layer, given)
        elif isinstance(layer, Weights) and layer.groups == 1:
            self._weights(layer, given[0])
        elif _channelwise(layer):
            self.cells[layer.name] = self._each(layer, given[0])
        elif isinstance(layer, Heads):
            refuse(layer.name, "a result that is a concatenation, or part of a map,", "its parts as results of their "
                   "own, in a tuple, list or dict")  # fmt: skip
        else:
            refuse(layer.name, f"{type(layer).__name__} of a concatenation", "convolutions that take all its channels, "
                   "depthwise ones, sums, activations, pools")  # fmt: skip

    def _each(self, layer: Layer, given: Sequence[Cell]) -> list[Cell]:
        """A copy of ``layer``, which works channel by channel, for every source; returns where its channels are."""
        found = dict[int, Cell]()
        times = self.graph.shapes[layer.name][0] // len(given)  # channels of the result for one that it takes
        for chosen in _turns(given):
            for source, places in chosen.items():
                name, count = self.graph.fresh(f"{layer.name} ({source or 'image'})"), self.channels[source]
                self.put(_with(replace(layer, name=name, sources=(source,)), places, count), count * times)
                for place, channel in places.items():
                    found |= {place * times + k: (name, channel * times + k) for k in range(times)}
        return [found[place] for place in range(len(found))]

    def _weights(self, layer: Weights, given: Sequence[Cell]) -> None:
        """The sum of weights over each source."""
        terms, rows = list[Weights](), len(layer.weight)
        sources = dict.fromkeys(source for source, _ in given)
        for source in sources:
            places = [(place, channel) for place, (of, channel) in enumerate(given) if of == source]
            taken, at = (torch.tensor(part) for part in zip(*places, strict=True))
            weight = layer.weight.new_zeros(rows, self.channels[source], *layer.weight.shape[2:])
            weight.index_add_(1, at, layer.weight[:, taken])
            bias = torch.zeros_like(layer.bias) if terms else layer.bias
            name = layer.name if len(sources) == 1 else self.graph.fresh(f"{layer.name} ({source or 'image'})")
            terms.append(replace(layer, name=name, sources=(source,), weight=weight, bias=bias))
        for term in terms:
            self.put(term, rows)
        self._added(layer.name, [term.name for term in terms], rows)

    def _sum(self, layer: Sum, given: Sequence[Sequence[Cell]]) -> None:
        """Shortcuts to the channels of every part."""
        terms, rows = list[str](), len(given[0])
        for cells, old in zip(given, layer.sources, strict=True):
            if cells == self._own(old):
                terms.append(old)
                continue
            for chosen in _turns(cells):
                for source, places in chosen.items():
                    name = self.graph.fresh(f"{layer.name} ({source or 'image'})")
                    self.put(self._shortcut(name, source, places, rows, old), rows)
                    terms.append(name)
        self._added(layer.name, terms, rows)

    def head(self, name: str) -> None:
        """Logits of several heads, or some of those of one: the sum of a Linear of each, with zeros for the others."""
        cells, shape = self.cells[name], self.graph.shapes[name]
        if shape[1:] != (1, 1):
            refuse(name, f"logits that are maps of {shape[1]}x{shape[2]}", "vectors, torch.cat((a, b), 1) of Linears")
        terms = list[str]()
        sources = dict.fromkeys(source for source, _ in cells)
        for source in sources:
            weight = torch.zeros(len(cells), self.channels[source], dtype=self.graph.dtype)
            for place, (of, channel) in enumerate(cells):
                if of == source:
                    weight[place, channel] = 1.0
            term = name if len(sources) == 1 else self.graph.fresh(f"{name} ({source or 'image'})")
            self.put(Weights(term, (source,), weight, weight.new_zeros(len(cells))), len(cells))
            terms.append(term)
        self._added(name, terms, len(cells))

    def _shortcut(self, name: str, source: str, places: dict[int, int], rows: int, old: str) -> Shortcut | Weights:
        count = self.channels[source]
        first = min(places)
        if [places.get(first + k) for k in range(count)] == list(range(count)):
            return Shortcut(name, (source,), 1, first, rows - first - count)
        weight = torch.zeros(rows, count, dtype=self.graph.dtype)
        for place, channel in places.items():
            weight[place, channel] = 1.0
        if self.graph.shapes[old][1:] != (1, 1):
            weight = weight[:, :, None, None]
        return Weights(name, (source,), weight, weight.new_zeros(rows))

    def _added(self, name: str, terms: list[str], rows: int) -> None:
        """The sum of ``terms``, of two at a time, under ``name``, where one of them has not got it."""
        total = terms[0]
        for k, term in enumerate(terms[1:], 2):
            last = name if k == len(terms) else self.graph.fresh(f"{name} ({k - 1} sums)")
            self.put(Sum(last, (total, term)), rows)
            total = last
        self.cells[name] = self._own(total)


def _channelwise(layer: Layer) -> bool:
    """Whether every channel of the result comes from one that ``layer`` takes."""
    if isinstance(layer, Weights):
        return layer.weight.shape[1] == 1
    return isinstance(layer, Norm | Activation | Passing | Resample) and len(layer.sources) == 1


def _turns(given: Sequence[Cell]) -> list[dict[str, dict[int, int]]]:
    """Place to channel, by source, so that no channel is there twice in a turn."""
    turns = list[dict[str, dict[int, int]]]()
    seen = dict[Cell, int]()
    for place, (source, channel) in enumerate(given):
        turn = seen.get((source, channel), 0)
        seen[source, channel] = turn + 1
        if turn == len(turns):
            turns.append({})
        turns[turn].setdefault(source, {})[place] = channel
    return turns


def _with(layer: Layer, places: dict[int, int], count: int) -> Layer:
    """``layer``, whose numbers are of the old channels, with numbers for the ``count`` channels of its source: those
    that nothing takes get 0."""
    taken, at = torch.tensor(list(places)), torch.tensor(list(places.values()))
    if isinstance(layer, Norm):
        gain, bias = (a.new_zeros(count).index_copy(0, at, a[taken]) for a in (layer.gain, layer.bias))
        return replace(layer, gain=gain, bias=bias)
    if isinstance(layer, Weights):
        times = len(layer.weight) // layer.groups
        of, to = ((i[:, None] * times + torch.arange(times)).flatten() for i in (taken, at))
        weight = layer.weight.new_zeros(count * times, *layer.weight.shape[1:]).index_copy(0, to, layer.weight[of])
        bias = layer.bias.new_zeros(count * times).index_copy(0, to, layer.bias[of])
        return replace(layer, weight=weight, bias=bias, groups=count)
    if isinstance(layer, Flat):
        return replace(layer, numbers=0)
    return layer
