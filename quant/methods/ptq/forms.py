"""The two forms of a network: values with gains by powers of two, and lossless spikes with free thresholds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ...ir.ops import IF, Node, Requant

__all__ = ["Form"]

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


@dataclass(frozen=True)
class Form:
    """``kind``; ``levels``, the largest result of an activation, a whole number from 0; ``steps``, T."""

    kind: Literal["values", "spikes"]
    levels: int
    steps: int

    def grids(self, unit: Tensor, finest: Tensor, sources: Tensor, bits: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Scales of the currents and the step of the activation, (C,) each, to be tried where a level should be worth
        about ``unit`` (C,), the finest scale without clipped weights is ``finest`` (C,), and the shortcut's integers
        are worth ``sources`` (C,), 0 where there is none. Scales divide the worth of the shortcut."""
        limit = min(LARGEST_STEP, ABOVE_MEDIAN * (unit / finest.clamp(min=1e-30)).median().item())
        if self.kind == "values":
            for wider in WIDER:
                wanted = unit * 2 ** (wider / 4)
                fits = (wanted / finest.clamp(min=1e-30)).log2().floor()
                for octave in (0, 1) if bits <= FEW_BITS else (0,):
                    step = torch.exp2((fits + octave).clamp(-8, max(-8, math.floor(math.log2(limit)))))
                    yield divided(wanted / step, sources), step
        else:
            for share in CLIPPED if bits <= FEW_BITS else CLIPPED[:1]:
                scale = torch.maximum(finest * share, unit / limit)
                scale = divided(scale, sources)
                yield scale, (unit / scale).round().clamp(min=1)

    def counts(self, total: Tensor, step: Tensor) -> Tensor:
        """What the activation gives for sums over time (..., bias included), of the type of ``total``."""
        return torch.floor(total / step).clamp(0, self.levels)

    def node(self, fields: dict[str, Any], step: Tensor, bias: Tensor) -> Node:
        """The node of the activation; ``bias`` is added to the sum over time before the floor of its quotient by
        ``step``."""
        whole, bias_ = step.long().numpy(), bias.long().numpy()
        if self.kind == "values":
            shift = step.log2().round().long().numpy()
            return Requant(**fields, bias=-bias_, shift=shift, lo=0, hi=self.levels)
        each = (bias_ - whole // 2) // self.steps
        v0 = bias_ - self.steps * each
        return IF(**fields, threshold=whole, bias=each, v0=v0, rule="lossless", strict=False)


def divided(scale: Tensor, sources: Tensor) -> Tensor:
    """``scale`` (C,) so that it divides ``sources`` (C,), by a gain that a shortcut may have; unchanged where those are
    0, or so small that the weights would no longer fit."""
    gain = (sources / scale).round().clamp(1, MAX_GAIN)
    return torch.where(sources > 0.8 * scale, sources / gain, scale)
