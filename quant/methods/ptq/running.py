"""A settled stage in integers, as the network computes it, and beside the float network."""

from __future__ import annotations

import torch
from torch import Tensor

from ...frontends.layers import Weights
from ...kernels.exact import exact_dtype
from .errors import LayerError, decibels
from .maps import CHUNK, Map, as_map, smallest
from .settling.forms import Form, counts
from .settling.settle import Integers
from .stages import Stage

__all__ = ["error_of", "run_stage"]


def run_stage(stage: Stage, found: Integers, maps: dict[str, Map], form: Form) -> Map:
    """What ``stage`` gives in integers, exactly."""
    parts = list[Tensor]()
    n, kind = len(maps[stage.sources[0]].x), smallest(found.lo, found.hi)
    for start in range(0, n, CHUNK):
        some = slice(start, start + CHUNK)
        total = found.bias.view(-1, 1, 1)
        for layer, w in zip(stage.terms, found.weights, strict=True):
            total = total + _times(stage, maps[layer.sources[0]], form) * _convolved(layer, w, maps, some)
        for layer, gain in zip(stage.shortcuts, found.gains, strict=True):
            x = layer.value([maps[layer.sources[0]].x[some]]).double()
            total = total + _times(stage, maps[layer.sources[0]], form) * gain.view(-1, 1, 1) * x
        if found.stairs is not None:
            parts.append(found.stairs.results(total).to(kind))
        else:
            y = total if stage.last else counts(total, found.step.view(-1, 1, 1), found.lo, found.hi).to(kind)
            parts.append(y)
    x = torch.cat(parts)
    return Map(x, found.lo, found.hi, found.unit, torch.zeros_like(found.unit), form.kind == "spikes")


def _times(stage: Stage, source: Map, form: Form) -> int:
    return 1 if source.timed or stage.last else form.steps


def _convolved(layer: Weights, w: Tensor, maps: dict[str, Map], some: slice) -> Tensor:
    source = maps[layer.sources[0]]
    kind = exact_dtype(int(w.flatten(1).abs().sum(1).max()) * source.magnitude)
    return layer.convolution(source.x[some].to(kind), as_map(w).to(kind)).double()


def error_of(
    stage: Stage, found: Integers, z: Tensor, mine: Map, form: Form, sources_db: float | None, padding_db: float | None
) -> LayerError:
    """The record of a stage that gives ``mine``, where the float network has ``z`` before the activation."""
    unit = found.unit.float().view(-1, 1, 1)
    want = stage.shown(z)
    signal = want.double().square().sum().item()
    alone, clipped = None, 0.0
    if not stage.last:
        levels = (want / unit).round()
        clipped = ((levels > found.hi) | (levels < found.lo)).double().mean().item()
        alone = decibels(signal, (levels.clamp(found.lo, found.hi) * unit - want).double().square().sum().item())
    used = [
        (w.flatten(1).abs().amax(1) / ((1 << (bits - 1)) - 1)).clamp(max=1).mean().item()
        for w, bits in zip(found.weights, stage.bits, strict=True)
    ]
    noise = (mine.x.float() * unit - want).double().square().sum().item()
    dead = 0.0 if stage.last else (~(mine.x != 0).any(0).flatten(1).any(1)).double().mean().item()
    return LayerError(
        stage.name, alone, decibels(signal, noise), sources_db, clipped, dead, min(used, default=1.0), padding_db
    )
