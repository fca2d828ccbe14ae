"""What a traced graph must look like, so that it has an integer counterpart: checked, and put in order, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .layers import IMAGE, Activation, Layer, Pool, Shortcut, Sum, UnsupportedLayer, Weights, refuse

__all__ = ["check", "size", "terms_of"]

CURRENTS = Weights | Shortcut | Sum


def check(layers: list[Layer], answer: str) -> list[Layer]:
    """The layers in an order that holds to the rules below; ``answer`` is the one that gives the logits.

    Sums become sums of weights, shortcuts and sums; max-pools go behind their activation. Then: an activation stands
    behind weights or a sum and behind nothing else, nothing else takes their results, and the last layer is a Linear.
    """
    layers = _pools_last(_shortcuts(layers))
    kinds = {layer.name: layer for layer in layers}
    takers: dict[str, list[Layer]] = {name: [] for name in (IMAGE, *kinds)}
    for layer in layers:
        for source in layer.sources:
            takers[source].append(layer)
    for layer in layers:
        before = kinds.get(layer.sources[0])
        if isinstance(layer, Activation) and not isinstance(before, Weights | Sum):
            refuse(
                layer.name,
                "an activation that is not directly behind a convolution, a linear layer or a sum",
                "weights, batch norm, sum, activation, pool, in this order",
            )
        if isinstance(before, CURRENTS) and not isinstance(layer, Activation | Sum):
            refuse(
                layer.name,
                f"{type(layer).__name__} directly behind {before.name}",
                "an activation behind every layer with weights and every sum but the last layer",
            )
        if isinstance(layer, CURRENTS) and len(takers[layer.name]) > 1:
            who = " and ".join(dict.fromkeys(taker.name for taker in takers[layer.name]))
            refuse(layer.name, f"a result before its activation that {who} take", "one layer that takes it")
        if not takers[layer.name] and layer.name != answer:
            refuse(layer.name, "a layer whose result nothing takes", "layers that lead to the logits")
    last = kinds.get(answer)
    if not isinstance(last, Weights) or last.weight.ndim != 2 or takers[answer]:
        raise UnsupportedLayer(
            f"{answer or 'model'}: the last layer must be a Linear, whose outputs are the classes, with no activation "
            f"behind it"
        )
    return layers


def size(layers: list[Layer], shape: tuple[int, int, int] | None) -> list[Layer]:
    """The layers with the size of the map in place of every kernel 0; ``shape`` is that of the image, (C, H, W)."""
    maps: dict[str, tuple[int, int] | None] = {IMAGE: shape and shape[1:]}
    result: list[Layer] = []
    for layer in layers:
        extent = maps[layer.sources[0]]
        if isinstance(layer, Pool) and not layer.kernel:
            if extent is None:
                refuse(layer.name, "a pool over a whole map of unknown size", "tracing with the shape of the image")
            if len(set(extent)) > 1:
                refuse(layer.name, f"a pool over a whole map of {extent[0]}x{extent[1]}", "square maps")
            layer = replace(layer, kernel=extent[0], stride=extent[0])
        maps[layer.name] = _after(layer, extent)
        result.append(layer)
    return result


def _after(layer: Layer, extent: tuple[int, int] | None) -> tuple[int, int] | None:
    """Height and width of what ``layer`` gives; None where they are not known or there are none."""
    if extent is None or isinstance(layer, Weights) and layer.weight.ndim == 2:
        return None
    match layer:
        case Weights():
            kernels, stride, padding = layer.weight.shape[2:], layer.stride, layer.padding
        case Pool():
            kernels, stride, padding = (layer.kernel, layer.kernel), layer.stride, 0
        case Shortcut():
            kernels, stride, padding = (1, 1), layer.stride, 0
        case _:
            return extent
    high, wide = ((n + 2 * padding - k) // stride + 1 for n, k in zip(extent, kernels, strict=True))
    return high, wide


def _shortcuts(layers: list[Layer]) -> list[Layer]:
    """A shortcut of its own for every branch of a sum that is not one, not weights and not a sum."""
    kinds = {layer.name: layer for layer in layers}
    result: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Sum):
            terms = []
            for source in layer.sources:
                if not isinstance(kinds.get(source), CURRENTS):
                    name = f"{layer.name}_shortcut"
                    while name in kinds:
                        name += "_"
                    kinds[name] = Shortcut(name, (source,), 1, 0, 0)
                    result.append(kinds[name])
                    source = name
                terms.append(source)
            layer = replace(layer, sources=tuple(terms))
        result.append(layer)
    return result


def _pools_last(layers: list[Layer]) -> list[Layer]:
    """Max-pools behind their activation, which is the same for a rising function."""
    layers = list(layers)
    for k, pool in enumerate(layers):
        if not isinstance(pool, Pool) or pool.kind != "max":
            continue
        producer = next((a for a in layers if a.name == pool.sources[0]), None)
        users = [j for j, a in enumerate(layers) if pool.name in a.sources]
        if not isinstance(producer, Weights | Sum) or len(users) != 1 or not isinstance(layers[users[0]], Activation):
            continue
        j = users[0]
        activation = replace(layers[j], sources=pool.sources)
        for i, other in enumerate(layers):
            if layers[j].name in other.sources:
                swapped = tuple(pool.name if s == activation.name else s for s in other.sources)
                layers[i] = replace(other, sources=swapped)
        layers[k], layers[j] = activation, replace(pool, sources=(activation.name,))
    return layers


def terms_of(name: str, kinds: Mapping[str, Layer]) -> tuple[list[Weights], list[Shortcut], list[str]]:
    """The weights (the largest kernel first), shortcuts and additions that make the currents ``name``."""
    layer = kinds[name]
    if isinstance(layer, Weights):
        return [layer], [], []
    if isinstance(layer, Shortcut):
        return [], [layer], []
    weights, shortcuts, sums = [], [], [name] if isinstance(layer, Sum) else []
    for source in layer.sources:
        more = terms_of(source, kinds)
        weights += more[0]
        shortcuts += more[1]
        sums = more[2] + sums
    return sorted(weights, key=lambda w: -w.weight[0].numel()), shortcuts, sums
