"""What pools, flattenings and shortcuts make of pixels, counts and spike trains: layers with nothing to be trained."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..frontends.layers import Flat, Pool, Shortcut
from .firing import over_channels

__all__ = ["aligned", "passed", "passed_trains", "shortcut_currents"]


def passed(layer: Pool | Flat, x: Tensor) -> Tensor:
    """Pixels or counts (N, ...) behind a pool or a flattening."""
    if isinstance(layer, Flat):
        return x.flatten(1)
    if layer.kind == "average":
        return F.avg_pool2d(x, layer.kernel, layer.stride, divisor_override=1)
    return F.max_pool2d(x, layer.kernel, layer.stride)


def passed_trains(layer: Pool | Flat, x: Tensor) -> Tensor:
    """Spike trains (T, N, ...) behind a pool or a flattening."""
    gate = isinstance(layer, Pool) and layer.kind == "max"
    y = passed(layer, (x.cumsum(0) if gate else x).flatten(0, 1)).unflatten(0, x.shape[:2])
    # The count gate: a spike leaves when the largest running count of the window grows.
    return torch.cat((y[:1], y[1:] - y[:-1])) if gate else y


def aligned(shortcut: Shortcut, x: Tensor) -> Tensor:
    """Values, spikes or counts (N, C, ...) where a shortcut adds them, (N, Co, ...)."""
    if shortcut.stride > 1 and x.ndim > 2:  # of a map every so manyth pixel; slicing would lose the memory format
        x = F.avg_pool2d(x, 1, shortcut.stride)
    if shortcut.before or shortcut.after:
        x = F.pad(x, (*[0, 0] * (x.ndim - 2), shortcut.before, shortcut.after))
    return x


def shortcut_currents(shortcut: Shortcut, x: Tensor, gain: Tensor) -> Tensor:
    """The currents (N, Co, ...) of a shortcut for values or counts ``x`` (N, C, ...) and its gains (Co,)."""
    return aligned(shortcut, x).to(gain.dtype) * over_channels(gain, x)
