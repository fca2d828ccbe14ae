"""A float graph that takes normalised images, (x - mean) / std, as one that takes plain x in 0..1.

The first layers with weights take mean and std into theirs. Around the image a convolution sees zeros, each of which
stands for the mean. So it pads with that: with the integer that comes nearest to it, for its input is integers. What
that integer is off the mean is the only error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..frontends.layers import IMAGE, Layer, Passing, Weights, refuse

__all__ = ["Around", "of_plain_pixels"]

REMEDY = "a convolution or linear layer, behind pools or a flatten at most, that takes the image with its mean and std"

EXACT = 1e-6
"""So much off an integer a mean is an integer that was divided."""


@dataclass(frozen=True)
class Around:
    """What the layer ``name`` sees around its input, a number a channel, in integers of its input: ``zero``, where the
    model has its 0, and ``pad``, the integer that stands there."""

    name: str
    zero: tuple[float, ...]
    pad: tuple[int, ...]

    @property
    def off(self) -> float:
        """The largest distance of both."""
        return max(abs(zero - pad) for zero, pad in zip(self.zero, self.pad, strict=True))

    def __str__(self) -> str:
        zero = ", ".join(f"{value:.6g}" for value in self.zero)
        return f"{self.name}: pads with {', '.join(map(str, self.pad))} in place of {zero}, the 0 of the model"


@dataclass(frozen=True)
class _Passed:
    """What stands behind a layer: a * x + b of plain x (C,), whose integers are worth ``unit`` (C,) and at most
    ``high``; its ``shape``."""

    a: Tensor
    b: Tensor
    unit: Tensor
    high: int
    shape: tuple[int, int, int]


def of_plain_pixels(
    layers: Sequence[Layer], shape: tuple[int, int, int], mean: Sequence[float], std: Sequence[float], high: int
) -> tuple[list[Layer], list[Around]]:
    """``layers``, which take (x - ``mean``) / ``std`` (C,), such that they take x, pixels of 0..``high`` divided by
    ``high``; and what those that pad see around their input, where that is not exactly the 0 of the model. Raises
    UnsupportedLayer for another layer than :data:`REMEDY`."""
    slope = 1 / torch.tensor(std, dtype=torch.float64)
    offset = -torch.tensor(mean, dtype=torch.float64) * slope
    passed = {IMAGE: _Passed(slope, offset, torch.full_like(slope, 1 / high), high, shape)}
    made, around = list[Layer](), list[Around]()
    for layer in layers:
        if not set(layer.sources) & set(passed):
            made.append(layer)
            continue
        before = passed[layer.sources[0]]
        match layer:
            case Weights():
                folded = _folded(layer, before.a, before.b)
                zero = -before.b / before.a / before.unit
                if folded.convolution.pads and bool((before.b != 0).any()) and bool(zero.isfinite().all()):
                    pad = folded.convolution.nearest(zero, 0, before.high).pad or (0.0,) * len(zero)
                    found = Around(layer.name, tuple(zero.tolist()), tuple(map(int, pad)))
                    around += [found] if found.off > EXACT else []
                    folded = replace(folded, pad=tuple((torch.tensor(pad) * before.unit).tolist()) if any(pad) else ())
                made.append(folded)
                continue
            case Passing() if len(layer.sources) == 1:
                cells = before.shape[1] * before.shape[2]
                passed[layer.name] = _Passed(
                    layer.channels([before.a], cells),
                    layer.offset([before.b], cells),
                    layer.unit([before.unit], cells),
                    layer.high([before.high]),
                    layer.shape([before.shape]),
                )
            case _:
                refuse(layer.name, f"{type(layer).__name__} of a normalised image", REMEDY)
        made.append(layer)
    return made, around


def _folded(layer: Weights, a: Tensor, b: Tensor) -> Weights:
    """``layer`` of x where it took a * x + b, channel by channel."""
    w = layer.weight.double()
    channels = w.shape[1]
    # Row o of a grouped convolution takes the channels of its group.
    group = torch.arange(len(w)) // (len(w) // layer.groups)
    taken = group[:, None] * channels + torch.arange(channels)
    ones = (1,) * (w.ndim - 2)
    bias = layer.bias.double() + (w.flatten(2).sum(2) if w.ndim > 2 else w).mul(b[taken]).sum(1)
    weight = w * a[taken].view(len(w), channels, *ones)
    return replace(layer, weight=weight.to(layer.weight.dtype), bias=bias.to(layer.bias.dtype))
