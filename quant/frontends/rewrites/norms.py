"""A factor and a term a channel, of batch norm or of arithmetic with constants, as part of a layer with weights.

Behind weights and sums of them it goes into these, before weights without padding into those, also through a
flattening. Between values and an activation it is a layer with weights of its own, one a channel, as batch norm in
front of an activation needs it (DenseNet, ResNet v2). Of the image it is its normalisation.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..layers import IMAGE, Currents, Flat, Layer, Norm, Shortcut, Sum, Weights, refuse
from .graph import Graph

__all__ = ["norms"]

FEW = 2
"""Takers that currents are computed for, each with a factor of its own; for more of them they become values."""


def norms(graph: Graph) -> Graph:
    """``graph`` without Norm."""
    graph = _doubled(graph)
    while (made := _normalised(graph)) is not None:
        graph = made
    while any(isinstance(layer, Norm) for layer in graph.layers):
        graph = _some(graph)
    return graph


def _doubled(graph: Graph) -> Graph:
    """``graph`` with a factor of 2 for a sum of a result with itself."""
    changed = dict[str, Layer]()
    for layer in graph.layers:
        if isinstance(layer, Sum) and len(set(layer.sources)) == 1:
            gain = torch.full((graph.shapes[layer.name][0],), float(len(layer.sources)), dtype=torch.float64)
            changed[layer.name] = Norm(layer.name, layer.sources[:1], gain, torch.zeros_like(gain))
    return graph.changed(changed.get(layer.name, layer) for layer in graph.layers) if changed else graph


def _normalised(graph: Graph) -> Graph | None:
    """``graph`` without the norm of its image, None where there is none."""
    norm = graph.takers[IMAGE][0] if len(graph.takers[IMAGE]) == 1 else None
    if not isinstance(norm, Norm) or not bool((norm.gain > 0).all()):
        return None
    made = graph.changed((layer for layer in graph.layers if layer is not norm), {norm.name: IMAGE})
    before = (torch.zeros_like(norm.gain), torch.ones_like(norm.gain))
    if graph.normalised is not None:
        before = tuple(torch.tensor(a, dtype=torch.float64) for a in graph.normalised)
    std = 1 / norm.gain
    mean = before[0] - before[1] * norm.bias * std
    made.normalised = tuple(mean.tolist()), tuple((before[1] * std).tolist())
    return made


def _some(graph: Graph) -> Graph:
    """``graph`` without the first norm, and without all others that have nothing to do with it or with each other."""
    changed, renamed, touched = dict[str, list[Layer]](), dict[str, str](), set[str]()
    for norm in graph.layers:
        if not isinstance(norm, Norm):
            continue
        source, takers = norm.sources[0], graph.takers[norm.name]
        before = graph.kinds.get(source)
        near = {norm.name, source, *(layer.name for layer in takers)} - {IMAGE}
        if near & touched or isinstance(before, Norm):
            continue
        if isinstance(before, Currents) and _cheap(graph, before):
            changed[norm.name] = list[Layer]()
            _scaled(graph, before, norm.gain, norm.bias, norm.name, changed[norm.name])
            touched |= near - {source}
        elif takers and all(_folds(layer, norm) for layer in takers):
            changed |= {layer.name: [_before(layer, norm)] for layer in takers if isinstance(layer, Weights)}
            changed[norm.name], renamed[norm.name] = [], source
            touched |= near
        elif len(takers) == 1 and isinstance(takers[0], Flat):
            changed |= {norm.name: [], takers[0].name: _behind(graph, takers[0], norm)}
            touched |= near
        else:
            changed[norm.name] = [graph.depthwise(norm.name, source, norm.gain, norm.bias)]
            touched |= near - {source}
    layers = (one for layer in graph.layers for one in changed.get(layer.name, [layer]))
    return graph.changed(layers, renamed)


def _cheap(graph: Graph, layer: Currents) -> bool:
    """Whether ``layer`` may be computed once more with other weights: not for each of many takers, and no chain of
    sums, as the currents of a ResNet v2, which would be computed from its beginning for every block."""
    if graph.alone(layer):
        return True
    nested = any(isinstance(graph.kinds.get(source), Sum) for source in layer.sources)
    return len(graph.takers[layer.name]) <= FEW and not (isinstance(layer, Sum) and nested)


def _behind(graph: Graph, flat: Flat, norm: Norm) -> list[Layer]:
    """``norm``, which ``flat`` takes, behind it."""
    cells = graph.shapes[flat.name][0] // graph.shapes[norm.name][0]
    first = replace(flat, name=graph.fresh(f"{flat.name} first"), sources=norm.sources)
    gain, bias = (a.repeat_interleave(cells) for a in (norm.gain, norm.bias))
    return [first, Norm(flat.name, (first.name,), gain, bias)]


def _folds(layer: Layer, norm: Norm) -> bool:
    """Whether ``layer`` takes ``norm`` in."""
    return isinstance(layer, Weights) and (not layer.convolution.pads or not bool(norm.bias.any()))


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
