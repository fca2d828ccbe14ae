"""Linear layers without an activation between them.

Two Linears are one. An average over a map moves in front of a convolution of 1x1, which sees single pixels. A
convolution of one pixel is a Linear. Where none of this holds, values with a sign stand between the two layers: an
activation without bounds, which every form that has such values can compute.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ..layers import Activation, Flat, Heads, Layer, Passing, Pool, Resample, Sum, Weights, refuse
from .graph import Graph

__all__ = ["linears"]


def linears(graph: Graph) -> Graph:
    """``graph`` with an activation, or none at all, between every two layers with weights."""
    for one in (_resampled, _composed, _merged, _averages_first, _one_pixel, _signed):
        graph = one(graph)
    return graph


def _resampled(graph: Graph) -> Graph:
    """Linears that take averages of overlapping windows, of the map itself."""
    for layer in graph.layers:
        if not isinstance(layer, Resample):
            continue
        flats = graph.takers[layer.name]
        takers = [taker for flat in flats for taker in graph.takers[flat.name]]
        c, high, wide = graph.shapes[layer.sources[0]]
        if not all(isinstance(flat, Flat) for flat in flats) or not all(isinstance(one, Weights) for one in takers):
            refuse(
                layer.name,
                f"an adaptive pool to {layer.rows}x{layer.columns} of a map of {high}x{wide}",
                "one whose windows are equal, or one directly before Flatten and Linear",
            )
        matrix, changed = layer.matrix(high, wide), dict[str, Layer]()
        for one in takers:
            assert isinstance(one, Weights)
            weight = one.weight.double().unflatten(1, (c, -1)) @ matrix
            changed[one.name] = replace(one, weight=weight.flatten(1).to(one.weight.dtype))
        changed |= {flat.name: replace(flat, numbers=0, single=False) for flat in flats if isinstance(flat, Flat)}
        layers = [changed.get(one.name, one) for one in graph.layers if one is not layer]
        return _resampled(graph.changed(layers, {layer.name: layer.sources[0]}))
    return graph


def _composed(graph: Graph) -> Graph:
    """Linears directly behind a Linear, one layer."""
    for layer in graph.layers:
        before = graph.kinds.get(layer.sources[0])
        if not isinstance(layer, Weights) or not isinstance(before, Weights) or not graph.alone(before):
            continue
        if layer.weight.ndim != 2 or before.weight.ndim != 2:
            continue
        w = layer.weight.double()
        weight, bias = w @ before.weight.double(), w @ before.bias.double() + layer.bias.double()
        kind = layer.weight.dtype
        both = replace(layer, sources=before.sources, weight=weight.to(kind), bias=bias.to(kind))
        return _composed(graph.changed(both if one is layer else one for one in graph.layers if one is not before))
    return graph


def _merged(graph: Graph) -> Graph:
    """Sums of two layers with weights that see the same, one layer."""
    for both in graph.layers:
        terms = [graph.kinds.get(source) for source in both.sources]
        if not isinstance(both, Sum) or not all(isinstance(one, Weights) and graph.alone(one) for one in terms):
            continue
        one, other = (term for term in terms if isinstance(term, Weights))
        same = one.sources == other.sources and one.convolution == other.convolution
        if one is other or not same or one.weight.shape != other.weight.shape:
            continue
        weight, bias = one.weight.double() + other.weight.double(), one.bias.double() + other.bias.double()
        kind = one.weight.dtype
        made = replace(one, name=both.name, weight=weight.to(kind), bias=bias.to(kind))
        left = [layer for layer in graph.layers if layer is not one and layer is not other]
        return _merged(graph.changed(made if layer is both else layer for layer in left))
    return graph


def _averages_first(graph: Graph) -> Graph:
    """Average pools behind a convolution of 1x1, in front of it."""
    for pool in graph.layers:
        before = graph.kinds.get(pool.sources[0])
        if not isinstance(pool, Pool) or not pool.adds or pool.padding:
            continue
        if not isinstance(before, Weights) or not graph.alone(before):
            continue
        if before.weight.ndim != 4 or before.weight.shape[2:] != (1, 1) or before.convolution.moves:
            continue
        first = replace(pool, name=graph.fresh(f"{pool.name} first"), sources=before.sources)
        bias = before.bias * pool.area / pool.parts
        last = replace(before, name=before.name, sources=(first.name,), bias=bias)
        layers = [one for layer in graph.layers if layer is not pool
                  for one in ([first, last] if layer is before else [layer])]  # fmt: skip
        return _averages_first(graph.changed(layers, {pool.name: before.name}))
    return graph


def _one_pixel(graph: Graph) -> Graph:
    """Flattened currents of one pixel, those of a Linear."""
    for flat in graph.layers:
        before = graph.kinds.get(flat.sources[0])
        if not isinstance(flat, Flat) or not isinstance(before, Weights) or before.weight.ndim != 4:
            continue
        size, source = graph.shapes[before.name][1:], graph.shapes[before.sources[0]]
        fills = tuple(before.weight.shape[2:]) == source[1:] and not before.convolution.pads
        if size != (1, 1) or not fills or before.groups > 1 or not graph.alone(before):
            continue
        first = Flat(graph.fresh(f"{flat.name} first"), before.sources)
        last = Weights(before.name, (first.name,), before.weight.flatten(1), before.bias)
        layers = [one for layer in graph.layers if layer is not flat
                  for one in ([first, last] if layer is before else [layer])]  # fmt: skip
        return _one_pixel(graph.changed(layers, {flat.name: before.name}))
    return graph


def _signed(graph: Graph) -> Graph:
    """Values with a sign wherever something else than an activation, a sum or the answer takes currents; sums then take
    these values too."""
    need = {
        source
        for layer in graph.layers
        for source in layer.sources
        if isinstance(graph.kinds.get(source), Weights | Sum)
        and not isinstance(layer, Activation | Sum | Heads)
        and not _moves(graph, layer)
    }
    names = {source: graph.fresh(f"{source} values") for source in need}
    new = list[Layer]()
    for layer in graph.layers:
        if not isinstance(layer, Activation | Heads):
            layer = replace(layer, sources=tuple(names.get(source, source) for source in layer.sources))
        new.append(layer)
        if layer.name in names:
            new.append(Activation(names[layer.name], (layer.name,), None, -math.inf, math.inf))
    return graph.changed(new) if names else graph


def _moves(graph: Graph, layer: Layer) -> bool:
    """Whether ``layer`` is a pool of maxima that an activation alone takes, which moves in front (``structure``)."""
    takers = graph.takers[layer.name]
    if not isinstance(layer, Passing) or not layer.rising or len(takers) != 1:
        return False
    return isinstance(takers[0], Activation) and takers[0].rises
