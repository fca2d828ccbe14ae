"""What a traced graph must look like, so that it has an integer counterpart: checked, and put in order, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from .layers import (
    IMAGE,
    Activation,
    Currents,
    Heads,
    Layer,
    Passing,
    Shape,
    Shortcut,
    Sum,
    UnsupportedLayer,
    Weights,
    refuse,
)

__all__ = ["check", "fitting", "size", "terms_of"]

def check(layers: list[Layer], answer: str) -> list[Layer]:
    """The layers in an order that holds to the rules below; ``answer`` is the one that gives the logits.

    Sums become sums of weights, shortcuts and sums; max-pools go behind their activation. Then: an activation stands
    behind weights or a sum and behind nothing else, nothing else takes their results, and the last layer is a Linear;
    maps come from weights or sums.
    """
    layers = _pools_last(_shortcuts(layers))
    kinds = {layer.name: layer for layer in layers}
    takers: dict[str, list[Layer]] = {name: [] for name in (IMAGE, *kinds)}
    for layer in layers:
        for source in layer.sources:
            takers[source].append(layer)
    for layer in layers:
        before = kinds.get(layer.sources[0])
        if isinstance(layer, Heads):
            continue
        if not isinstance(layer, Currents | Activation | Passing):
            refuse(
                layer.name,
                f"{type(layer).__name__} there",
                "weights, sums, activations and pools, and what can be written as these (docs/convert.md)",
            )
        if isinstance(layer, Activation) and not isinstance(before, Weights | Sum):
            refuse(
                layer.name,
                "an activation that is not directly behind a convolution, a linear layer or a sum",
                "weights, batch norm, sum, activation, pool, in this order",
            )
        if isinstance(before, Currents) and not isinstance(layer, Activation | Sum):
            refuse(
                layer.name,
                f"{type(layer).__name__} directly behind {before.name}",
                "an activation behind every layer with weights and every sum but the last layer",
            )
        if not takers[layer.name] and layer.name != answer:
            refuse(layer.name, "a layer whose result nothing takes", "layers that lead to the logits or to a map")
    if isinstance(heads := kinds.get(answer), Heads):
        if behind := [name for name in heads.sources if not isinstance(kinds.get(name), Weights | Sum)]:
            refuse(behind[0] or "image", "a map that no layer with weights gives", "a convolution as the last layer of "
                   "every result")  # fmt: skip
        return layers
    last = [kinds.get(answer)]
    while sums := [layer for layer in last if isinstance(layer, Sum)]:
        last = [layer for layer in last if layer not in sums]
        last += [kinds.get(source) for layer in sums for source in layer.sources]
    if not all(isinstance(layer, Weights) and layer.weight.ndim == 2 for layer in last) or takers[answer]:
        raise UnsupportedLayer(
            f"{answer or 'model'}: the last layer must be a Linear, whose outputs are the classes, with no activation "
            f"behind it"
        )
    return layers


def size(layers: list[Layer], shape: Shape | None) -> list[Layer]:
    """The layers with the sizes of the maps, where they ask for them; ``shape`` is that of the image, (C, H, W).

    With a ``shape``, it also raises NetworkError, naming the layer, where sizes do not fit each other.
    """
    shapes: dict[str, Shape | None] = {IMAGE: shape}
    result: list[Layer] = []
    for layer in layers:
        before = [found for source in layer.sources if (found := shapes[source])]
        before = before if len(before) == len(layer.sources) else []
        layer = layer.sized(before)
        shapes[layer.name] = layer.shape(before) if before else None
        result.append(layer)
    return result


def fitting(layers: list[Layer], *, lines: bool = False) -> Shape | None:
    """A shape (C, H, W) of images that ``layers`` can take, (C, 1, L) where they take ``lines``, where nobody says it;
    None if there is none below 512."""
    for shape in _shapes(layers):
        shape = (shape[0], 1, shape[2]) if lines else shape
        try:
            size(layers, shape)
        except ValueError:
            continue
        return shape
    return None


def _shapes(layers: list[Layer]) -> Iterator[Shape]:
    """Shapes to try, usual ones first."""
    passed, channels, vector = {IMAGE}, list[int](), list[int]()
    for layer in layers:
        if layer.sources[0] in passed:
            if isinstance(layer, Weights):
                (vector if layer.weight.ndim == 2 else channels).append(layer.weight.shape[1] * layer.groups)
            else:
                passed.add(layer.name)
    for c in dict.fromkeys(channels or (1, 3)):
        yield from ((c, side, side) for side in (32, 28, *range(1, 513)))
    yield from ((n, 1, 1) for n in vector)
    for c in dict.fromkeys(channels):
        yield from ((c, high, wide) for high in range(1, 65) for wide in range(1, 65))


def _shortcuts(layers: list[Layer]) -> list[Layer]:
    """A shortcut of its own for every branch of a sum that is not one, not weights and not a sum."""
    kinds = {layer.name: layer for layer in layers}
    result: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Sum):
            terms = []
            for source in layer.sources:
                if not isinstance(kinds.get(source), Currents):
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
        if not isinstance(pool, Passing) or not pool.rising:
            continue
        producer = next((a for a in layers if a.name == pool.sources[0]), None)
        users = [j for j, a in enumerate(layers) if pool.name in a.sources]
        behind = layers[users[0]] if len(users) == 1 else None
        if not isinstance(producer, Weights | Sum) or not isinstance(behind, Activation) or not behind.rises:
            continue
        j = users[0]
        activation = replace(behind, sources=pool.sources)
        for i, other in enumerate(layers):
            if layers[j].name in other.sources:
                swapped = tuple(pool.name if s == activation.name else s for s in other.sources)
                layers[i] = replace(other, sources=swapped)
        layers[k], layers[j] = activation, replace(pool, sources=(activation.name,))
    return layers


def terms_of(name: str, kinds: Mapping[str, Layer]) -> tuple[list[Weights], list[Shortcut], list[str]]:
    """The weights (the largest kernel first), shortcuts and additions that make the currents ``name``."""
    weights, shortcuts, sums, left = list[Weights](), list[Shortcut](), list[str](), [name]
    while left:
        layer = kinds[left.pop()]
        match layer:
            case Weights():
                weights.append(layer)
            case Shortcut():
                shortcuts.append(layer)
            case _:
                left += reversed(layer.sources)
                if isinstance(layer, Sum):
                    sums.append(layer.name)
    return sorted(weights, key=lambda w: -w.weight[0].numel()), shortcuts, sums[::-1]
