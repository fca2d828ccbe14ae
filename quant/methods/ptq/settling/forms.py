"""The two forms of a network: values with gains by powers of two, and lossless spikes with free thresholds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ....frontends.layers import Activation, Curve, refuse
from ....ir.ops import IF, Node, Requant
from .levels import CLOSE, Levels

__all__ = ["Form", "counts", "within"]

LARGEST_STEP = 1 << 16
"""No level is more units of the currents than this."""

ABOVE_MEDIAN = 4
"""Nor more than so many times what the median of the layer's channels is: a nearly dead channel gets coarse weights,
not wide sums."""

MAX_GAIN = 65535

FEW_BITS = 5
"""Up to so many bits, weights are clipped where that makes less error."""

CLIPPED = (1.0, 0.92, 0.84, 0.76, 0.68, 0.6)
"""Shares of the finest scale without clipped weights that are tried."""

WIDER = (0, 1, 2, 3)
"""Quarters of an octave by which the levels of values are tried wider than their clip asks for."""

LEAST_SHIFT = -8
"""Of a ``Requant``."""


@dataclass(frozen=True)
class Form:
    """``kind``; ``levels``, the largest result of an activation without a sign; ``steps``, T."""

    kind: Literal["values", "spikes"]
    levels: int
    steps: int

    def check(self, activation: Activation) -> None:
        """Raise UnsupportedLayer, naming the ``activation``, where its values have a sign and this form has none."""
        if self.kind == "spikes" and isinstance(activation, Curve):
            refuse(activation.name, f"{activation.called} with spikes", "values (--bits), or ReLU and other clamps")
        if self.kind == "values" and activation.signed and self.levels < 2:
            refuse(activation.name, f"{activation.called} in 1 bit", "2 bits or more (--bits), one of them the sign")

    def levels_of(self, low: float, high: float) -> Levels:
        """The levels that an activation which clamps to ``low``..``high`` may give."""
        half = self.levels // 2
        if low == 0:
            return Levels(0, self.levels, low, high)
        least, most = (-self.levels, self.levels) if self.kind == "spikes" else (-half - 1, half)
        return Levels(least, most, low, high)

    def grids(
        self, unit: Tensor, finest: Tensor, sources: Tensor, bits: int, widest: float = math.inf
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Scales of the currents and the step of the activation, (C,) each, to be tried where a level should be worth
        about ``unit`` (C,) and at most ``widest``, the finest scale without clipped weights is ``finest`` (C,), and the
        shortcut's integers are worth ``sources`` (C,), 0 where there is none. Scales divide the worth of the shortcut.
        """
        limit = min(LARGEST_STEP, ABOVE_MEDIAN * (unit / finest.clamp(min=1e-30)).median().item())
        if self.kind == "values":
            for wider in WIDER:
                wanted = (unit * 2 ** (wider / 4)).clamp(max=widest)
                fits = (wanted / finest.clamp(min=1e-30)).log2().floor()
                for octave in (0, 1) if bits <= FEW_BITS else (0,):
                    most = max(LEAST_SHIFT, math.floor(math.log2(limit)))
                    step = torch.exp2((fits + octave).clamp(LEAST_SHIFT, most))
                    yield narrowed(divided(wanted / step, sources), step, sources, finest, widest)
        else:
            for share in CLIPPED if bits <= FEW_BITS else CLIPPED[:1]:
                scale = torch.maximum(finest * share, unit / limit)
                scale = divided(scale, sources)
                yield scale, within((unit / scale).round().clamp(min=1), scale, widest)

    def node(self, fields: dict[str, Any], step: Tensor, bias: Tensor, lo: int, hi: int) -> Node:
        """The node of the activation, which gives ``lo``..``hi``; ``bias`` is added to the sum over time before the
        floor of its quotient by ``step``."""
        whole, bias_ = step.long().numpy(), bias.long().numpy()
        if self.kind == "values":
            shift = step.log2().round().long().numpy()
            return Requant(**fields, bias=-bias_, shift=shift, lo=lo, hi=hi)
        each = (bias_ - whole // 2) // self.steps
        v0 = bias_ - self.steps * each
        return IF(**fields, threshold=whole, bias=each, v0=v0, rule="lossless", strict=False, low=lo)


def counts(total: Tensor, step: Tensor, lo: int, hi: int) -> Tensor:
    """What an activation gives for sums over time (..., bias included), of the type of ``total``."""
    return torch.floor(total / step).clamp(lo, hi)


def within(step: Tensor, scale: Tensor, widest: float) -> Tensor:
    """Thresholds ``step`` (C,), none of them worth more than ``widest`` where a current is worth ``scale`` (C,)."""
    return torch.minimum(step, (widest / scale * (1 + CLOSE)).floor().clamp(min=1))


def narrowed(scale: Tensor, step: Tensor, sources: Tensor, finest: Tensor, widest: float) -> tuple[Tensor, Tensor]:
    """``scale`` and ``step`` (C,) with ``scale * step`` at most ``widest``: by one more of the gain of a shortcut where
    the weights still fit, else by halves of the step."""
    most = widest / step * (1 + CLOSE)
    more = (sources / scale).round() + 1
    fits = (sources > 0) & (sources / more >= finest) & (more <= MAX_GAIN)
    scale = torch.where((scale > most) & fits, sources / more, scale)
    return scale, (step / torch.exp2((scale / most).log2().ceil().clamp(min=0))).clamp(min=2.0**LEAST_SHIFT)


def divided(scale: Tensor, sources: Tensor) -> Tensor:
    """``scale`` (C,) so that it divides ``sources`` (C,), by a gain that a shortcut may have; unchanged where those are
    0, or so small that the weights would no longer fit."""
    gain = (sources / scale).round().clamp(1, MAX_GAIN)
    return torch.where(sources > 0.8 * scale, sources / gain, scale)
