"""A factor and a term a channel, of batch norm or of arithmetic with constants, as part of a layer with weights.

Behind weights and sums of them it goes into these, before weights without padding into those, also through a
flattening. Between values and an activation it is a layer with weights of its own, one a channel, as batch norm in
front of an activation needs it (DenseNet, ResNet v2). Of the image it is its normalisation.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..layers import IMAGE, Currents, Flat, Layer, Norm, Pool, Shortcut, Sum, Weights, refuse
from ..repeat import MOST
from .graph import Graph

__all__ = ["norms"]

FEW = 2
"""Takers that currents are computed for, each with a factor of its own; for more of them they become values."""


def norms(graph: Graph) -> Graph:
    """``graph`` without Norm. Currents that several layers take, as the sums of ResNet v2, are computed once for each,
    up to :data:`MOST` times the weights of the model; beyond that, batch norm takes values with a sign."""
    limit, graph = MOST * _weights(graph), _doubled(graph)
    while found := [layer for layer in graph.layers if isinstance(layer, Norm)]:
        graph = _one(graph, found[0], limit)
    return graph


def _doubled(graph: Graph) -> Graph:
    """``graph`` with a factor of 2 for a sum of a result with itself."""
    changed = dict[str, Layer]()
    for layer in graph.layers:
        if isinstance(layer, Sum) and len(set(layer.sources)) == 1:
            gain = torch.full((graph.shapes[layer.name][0],), float(len(layer.sources)), dtype=torch.float64)
            changed[layer.name] = Norm(layer.name, layer.sources[:1], gain, torch.zeros_like(gain))
    return graph.changed(changed.get(layer.name, layer) for layer in graph.layers) if changed else graph


def _weights(graph: Graph) -> int:
    return sum(layer.weight.numel() for layer in graph.layers if isinstance(layer, Weights))


def _one(graph: Graph, norm: Norm, limit: int) -> Graph:
    """``graph`` without ``norm``, with at most ``limit`` weights."""
    source = norm.sources[0]
    takers = graph.takers[norm.name]
    if source == IMAGE and graph.takers[IMAGE] == [norm] and bool((norm.gain > 0).all()):
        made = graph.changed((layer for layer in graph.layers if layer is not norm), {norm.name: IMAGE})
        before = (torch.zeros_like(norm.gain), torch.ones_like(norm.gain))
        if graph.normalised is not None:
            before = tuple(torch.tensor(a, dtype=torch.float64) for a in graph.normalised)
        std = 1 / norm.gain
        mean = before[0] - before[1] * norm.bias * std
        made.normalised = tuple(mean.tolist()), tuple((before[1] * std).tolist())
        return made
    before = graph.kinds.get(source)
    few = isinstance(before, Sum) or len(graph.takers[source]) <= FEW
    if isinstance(before, Currents) and few:
        new = list[Layer]()
        _scaled(graph, before, norm.gain, norm.bias, norm.name, new)
        made = graph.changed([one for layer in graph.layers for one in (new if layer is norm else [layer])])
        if _weights(made) <= limit:
            return made
    if takers and all(_folds(layer, norm) for layer in takers):
        changed = {layer.name: _before(layer, norm) for layer in takers if isinstance(layer, Weights)}
        layers = [changed.get(layer.name, layer) for layer in graph.layers if layer is not norm]
        return graph.changed(layers, {norm.name: source})
    if takers and all(_passes(layer) for layer in takers):
        behind = {layer.name: _behind(graph, layer, norm) for layer in takers}
        layers = [one for layer in graph.layers if layer is not norm for one in behind.get(layer.name, [layer])]
        return graph.changed(layers)
    own = graph.depthwise(norm.name, source, norm.gain, norm.bias)
    return graph.changed([own if layer is norm else layer for layer in graph.layers])


def _folds(layer: Layer, norm: Norm) -> bool:
    """Whether ``layer`` takes ``norm`` in."""
    return isinstance(layer, Weights) and (not layer.convolution.pads or not bool(norm.bias.any()))


def _passes(layer: Layer) -> bool:
    """Whether a factor and a term a channel may stand behind ``layer`` as well as before it."""
    return isinstance(layer, Flat) or (isinstance(layer, Pool) and layer.adds and not layer.padding)


def _behind(graph: Graph, layer: Layer, norm: Norm) -> list[Layer]:
    """``layer``, of what ``norm`` takes, and the same norm behind it, which has its name."""
    assert isinstance(layer, Flat | Pool)
    _, high, wide = graph.shapes[norm.sources[0]]
    gain, bias = layer.channels([norm.gain], high * wide), layer.offset([norm.bias], high * wide)
    first = replace(layer, name=graph.fresh(f"{layer.name} first"), sources=norm.sources)
    return [first, Norm(layer.name, (first.name,), gain, bias)]


def _before(layer: Weights, norm: Norm) -> Weights:
    """``layer`` of x where it took gain * x + bias."""
    w = layer.weight.double()
    channels = w.shape[1]
    group = torch.arange(len(w)) // (len(w) // layer.groups)  # row o of a grouped convolution takes those of its group
    taken = group[:, None] * channels + torch.arange(channels)
    bias = layer.bias.double() + (w.flatten(2).sum(2) if w.ndim > 2 else w).mul(norm.bias[taken]).sum(1)
    weight = w * norm.gain[taken].view(len(w), channels, *[1] * (w.ndim - 2))
    return replace(layer, weight=weight.to(layer.weight.dtype), bias=bias.to(layer.bias.dtype))


def _scaled(graph: Graph, layer: Layer, gain: Tensor, bias: Tensor, name: str, new: list[Layer]) -> None:
    """Append to ``new`` what gives gain * y + bias, under ``name``, where ``layer`` gives y."""
    zero = torch.zeros_like(bias)
    match layer:
        case Weights():
            made = layer.scaled(gain, bias, zero)
            new.append(replace(made, name=name, repeats="" if graph.alone(layer) else layer.origin))
        case Shortcut(stride=1, before=0, after=0):
            new.append(graph.depthwise(name, layer.sources[0], gain, bias))
        case Sum():
            names = list[str]()
            for k, source in enumerate(layer.sources):
                term, more = graph.kinds.get(source), zero if k else bias
                own = graph.fresh(f"{name} ({source or 'image'})")
                names.append(own)
                if isinstance(term, Currents):
                    _scaled(graph, term, gain, more, own, new)
                else:
                    new.append(graph.depthwise(own, source, gain, more))
            new.append(Sum(name, tuple(names)))
        case _:
            refuse(name, f"a factor a channel of {layer.name}", "one behind convolutions, sums, activations and pools")
