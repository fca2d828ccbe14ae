"""Currents that several layers take, computed once for each of them.

A neuron counts its currents in a unit of its own, so each has one taker in a network. A pre-activation residual block
(He et al., "Identity mappings in deep residual networks", ECCV 2016) gives its sum to an activation and, before it, to
the next sum. Sums and convolutions are linear: the sum that is computed twice from the same values and spikes is the
same sum in every time step. So the layers of such a result are repeated, back to values and spikes, for every taker
but the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .layers import Currents, Layer, Sum, UnsupportedLayer, Weights

__all__ = ["MOST", "MOST_OF_ONE", "repeated"]

MOST = 2
"""Times the weights of a model that its network may have: n pre-activation blocks in a row repeat n^2 / 2 layers."""

MOST_OF_ONE = 32
"""Times that one layer may be computed; there are sums without weights that double with every layer."""


def repeated(layers: Sequence[Layer]) -> list[Layer]:
    """``layers`` (``structure.check``) with layers of their own for every taker of a current; ``origin`` says which one
    a layer repeats. A repeated layer "a" is "a (2)", "a (3)", ..., with the first number that no other layer has.

    Raises UnsupportedLayer, naming the first result that several layers take, where that is more than :data:`MOST`
    times the weights, or one layer more than :data:`MOST_OF_ONE` times.
    """
    kinds = {layer.name: layer for layer in layers}
    _bounded(layers)
    result: list[Layer] = []
    taken: set[str] = set()
    names = set(kinds)

    def own(name: str) -> str:
        """The name of a layer that gives what ``name`` does, to one taker."""
        layer = kinds[name]
        if not isinstance(layer, Currents):
            return name
        if name not in taken:
            taken.add(name)
            return name
        sources = tuple(own(source) if source in kinds else source for source in layer.sources)
        number = 2
        while f"{name} ({number})" in names:
            number += 1
        copy = replace(layer, name=f"{name} ({number})", sources=sources, repeats=layer.origin)
        if isinstance(copy, Weights):  # whose numbers may be trained in place
            copy = replace(copy, weight=copy.weight.clone(), bias=copy.bias.clone())
        names.add(copy.name)
        result.append(copy)
        return copy.name

    for layer in layers:
        sources = tuple(own(source) if source in kinds else source for source in layer.sources)
        result.append(replace(layer, sources=sources))
    return result


def _bounded(layers: Sequence[Layer]) -> None:
    """Raise UnsupportedLayer where the repeated layers would be too many."""
    times: dict[str, int] = {}  # that each layer is computed
    takers: dict[str, list[str]] = {}
    for layer in reversed(layers):
        mine = max(1, times.get(layer.name, 0)) if isinstance(layer, Currents) else 1
        for source in layer.sources:
            takers.setdefault(source, []).append(layer.name)
            times[source] = times.get(source, 0) + (mine if isinstance(layer, Sum) else 1)
    currents = [layer for layer in layers if isinstance(layer, Currents)]
    weights = {layer.name: layer.weight.numel() for layer in currents if isinstance(layer, Weights)}
    once = sum(weights.values())
    more = sum(size * max(1, times.get(name, 0)) for name, size in weights.items())
    most = max(currents, key=lambda layer: times.get(layer.name, 0))
    if more <= MOST * once and times.get(most.name, 0) <= MOST_OF_ONE:
        return
    first = next(layer.name for layer in currents if len(takers.get(layer.name, ())) > 1)
    who = " and ".join(dict.fromkeys(reversed(takers[first])))
    if more > MOST * once:
        why = f"{more} weights instead of {once}, more than {MOST} times as many"
    else:
        why = f"the layer {most.name} more than {MOST_OF_ONE} times"
    raise UnsupportedLayer(
        f"{first}: a result before its activation that {who} take is computed once for each, which makes {why}; "
        f"supported: an activation before the shortcut, whose spikes all can take"
    )
