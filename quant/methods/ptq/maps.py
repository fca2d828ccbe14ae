"""What flows between the stages while a network is quantised: integers of the calibration images, and their worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...frontends.layers import Passing, Weights
from ...kernels.exact import exact_dtype

__all__ = [
    "CHUNK",
    "Map",
    "around",
    "as_map",
    "inner_cells",
    "inputs_at",
    "padded",
    "passed",
    "places",
    "smallest",
    "taken_at",
]

CHUNK = 64
"""Images at a time."""


@dataclass(frozen=True)
class Map:
    """Integers ``x`` (N, C, H, W), of the smallest type, from ``low``, 0 or below, up to ``high``: the sums over time
    of values and spikes, of which 1 is worth ``unit`` (C,) beside an ``offset`` (C,); double. ``timed``: of spikes,
    whose sum it is. What does not change over time counts ``times`` times."""

    x: Tensor
    low: int
    high: int
    unit: Tensor
    offset: Tensor
    timed: bool

    @classmethod
    def of(cls, x: Tensor, low: int, high: int, unit: Tensor, offset: Tensor, timed: bool) -> Map:
        """The map with ``x`` in the smallest type that holds ``low``..``high``."""
        return cls(x.to(smallest(low, high)), low, high, unit, offset, timed)

    @property
    def magnitude(self) -> int:
        """The largest of its integers without their sign."""
        return max(-self.low, self.high)


def smallest(low: int, high: int) -> torch.dtype:
    """The smallest type of integers that holds ``low``..``high``."""
    kinds = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
    ends = ((torch.iinfo(kind), kind) for kind in kinds)
    return next(kind for end, kind in ends if end.min <= low and high <= end.max)


def passed(layer: Passing, maps: Sequence[Map]) -> Map:
    """What ``layer`` makes of ``maps``, those of its sources."""
    high, low = layer.high([a.high for a in maps]), -layer.high([-a.low for a in maps])
    kind, cells = exact_dtype(max(-low, high)), maps[0].x[0, 0].numel()
    chunks = zip(*(a.x.split(CHUNK) for a in maps), strict=True)
    x = torch.cat([layer.integers([part.to(kind) for part in parts]) for parts in chunks])
    unit, offset = layer.unit([a.unit for a in maps], cells), layer.offset([a.offset for a in maps], cells)
    return Map.of(as_map(x), low, high, unit, offset, maps[0].timed)


def padded(layer: Weights, source: Map) -> Weights:
    """``layer``, of the integers of ``source``, which pads with those that come nearest to the 0 of the float
    network."""
    if not layer.convolution.pads or source.timed or not bool((source.offset != 0).any()):
        return layer
    near = layer.convolution.nearest(-source.offset / source.unit, source.low, source.high)
    return replace(layer, pad=near.pad)


def around(layer: Weights, source: Map) -> Tensor:
    """What ``layer``, of the integers of ``source``, has around it in place of 0, (C,), as the float network counts."""
    pad = torch.tensor(layer.pad or (0.0,) * len(source.unit), dtype=torch.float64)
    wrong = pad * source.unit + source.offset
    off = wrong.abs() > 1e-9 * source.offset.abs()
    return wrong * off if layer.convolution.pads else torch.zeros_like(wrong)


def as_map(x: Tensor) -> Tensor:
    """A vector (N, n), or the weights (out, in) that take it, as a map (N, n, 1, 1)."""
    return x if x.ndim == 4 else x[:, :, None, None]


def places(images: int, cells: Tensor, limit: int, generator: torch.Generator) -> Tensor:
    """Of ``cells`` of a map some (N, p), another choice for each image, about ``limit`` of them together."""
    p = min(len(cells), max(1, limit // images))
    if p == len(cells):
        return cells.expand(images, -1)
    return torch.stack([cells[torch.randperm(len(cells), generator=generator)[:p]] for _ in range(images)])


def inner_cells(layer: Weights, source: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """The cells of the result of ``layer``, of ``size`` (H, W), whose windows see no padding of the map of ``source``
    (H, W); all of them where there are none."""
    kernel = tuple(layer.weight.shape[2:]) or (1, 1)
    inside = layer.convolution.columns(torch.ones(1, 1, *source), kernel).amin((0, 1)).flatten().nonzero()
    return inside.flatten() if len(inside) else torch.arange(size[0] * size[1])


def taken_at(x: Tensor, at: Tensor) -> Tensor:
    """``x`` (N, C, H, W) at the cells ``at`` (N, p): (N * p, C)."""
    rows = x.flatten(2).gather(2, at[:, None].expand(-1, x.shape[1], -1))
    return rows.transpose(1, 2).flatten(0, 1)


def inputs_at(layer: Weights, x: Tensor, at: Tensor) -> Tensor:
    """The inputs (G, N * p, n) of ``layer`` for its outputs at the cells ``at`` (N, p), of integers ``x``."""
    kernel = tuple(layer.weight.shape[2:]) or (1, 1)
    found = []
    for part, cells in zip(x.split(CHUNK), at.split(CHUNK), strict=True):
        columns = layer.convolution.columns(part.float(), kernel)
        taken = columns.gather(2, cells[:, None].expand(-1, columns.shape[1], -1))
        found.append(taken.unflatten(1, (layer.groups, -1)).permute(1, 0, 3, 2).flatten(1, 2))
    return torch.cat(found, 1)
