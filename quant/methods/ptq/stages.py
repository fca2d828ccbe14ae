"""A float graph as stages: what is added up, and the activation behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ...frontends.layers import Activation, Currents, Curve, Heads, Layer, Passing, Shortcut, Weights, refuse
from ...frontends.structure import terms_of
from .settling.forms import Form

__all__ = ["Stage", "stages_of"]


@dataclass(frozen=True)
class Stage:
    """The layers whose results meet in the activation ``name``, or in a last layer, which has none.

    Attributes: ``terms``, the layers with weights, the largest kernel first, and ``bits`` of each; ``shortcuts``;
    ``sums``, the additions in their order; ``currents``, the layer whose result the activation takes; ``last``;
    ``output``, what the map is called that it gives then, "" for logits; the activation clamps to
    ``low``..``high``, or is a ``curve``.
    """

    name: str
    terms: tuple[Weights, ...]
    bits: tuple[int, ...]
    shortcuts: tuple[Shortcut, ...]
    sums: tuple[str, ...]
    currents: str
    last: bool
    low: float = -math.inf
    high: float = math.inf
    curve: Curve | None = None
    output: str = ""

    def shown(self, z: Tensor) -> Tensor:
        """What of the results ``z`` the activation shows."""
        if self.curve is not None:
            return self.curve.function(z)
        return z if self.last else z.clamp(self.low, self.high)

    @property
    def sources(self) -> tuple[str, ...]:
        """The layers whose results it takes."""
        return tuple(dict.fromkeys(layer.sources[0] for layer in (*self.terms, *self.shortcuts)))


def stages_of(
    layers: Sequence[Layer],
    form: Form,
    weight_bits: int,
    first_bits: int | None,
    last_bits: int | None,
    shortcut_bits: int | None,
) -> list[Stage | Passing]:
    """``layers`` of a float graph in their order, those that give currents inside the stage that takes them.

    Of several layers with weights the largest has ``weight_bits`` (``first_bits`` in the first stage, ``last_bits`` in
    the last), the others ``shortcut_bits``. Raises UnsupportedLayer, naming the layer, for an activation that is no
    clamp, and for one that is no matter of ``form``.
    """
    kinds = {layer.name: layer for layer in layers}
    found: list[Stage | Passing] = []
    heads = layers[-1].names if isinstance(layers[-1], Heads) else {layers[-1].name: ""}
    for layer in layers:
        last = layer.name in heads
        if isinstance(layer, Passing):
            found.append(layer)
        elif isinstance(layer, Heads):
            continue
        elif isinstance(layer, Activation) or last:
            ends = (-math.inf, math.inf)
            if isinstance(layer, Activation):
                if layer.qcfs is not None:
                    refuse(
                        layer.name,
                        f"{layer.called} in post-training quantisation, which sets levels of its own",
                        "ReLU; convert a network trained with levels as it is",
                    )
                form.check(layer)
                ends = (layer.low, layer.high)
            currents = layer.name if last else layer.sources[0]
            terms, shortcuts, sums = terms_of(currents, kinds)
            first = not any(isinstance(stage, Stage) for stage in found)
            bits = last_bits if last else first_bits if first else None
            widths = (bits or weight_bits, *[shortcut_bits or 8] * (len(terms) - 1))
            of = tuple(terms), widths[: len(terms)], tuple(shortcuts), tuple(sums), currents, last
            curve = layer if isinstance(layer, Curve) else None
            found.append(Stage(layer.name, *of, *ends, curve, heads.get(layer.name, "")))
        elif not isinstance(layer, Currents):
            refuse(layer.name, f"{type(layer).__name__} in post-training quantisation", "weights, sums, ReLU and pools")
    return found
