"""What flows between the stages while a network is quantised: integers of the calibration images, and their worth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...frontends.layers import Pool, Shortcut, Weights
from ...kernels.exact import exact_dtype

__all__ = ["CHUNK", "Map", "inner_cells", "inputs_at", "places", "shortcut", "taken_at"]

CHUNK = 64
"""Images at a time."""


@dataclass(frozen=True)
class Map:
    """Integers ``x`` (N, C, H, W), of the smallest type, up to ``high``: the sums over time of values and spikes, of
    which 1 is worth ``unit`` (C,) beside an ``offset`` (C,); double. ``timed``: of spikes, whose sum it is. What does
    not change over time counts ``times`` times."""

    x: Tensor
    high: int
    unit: Tensor
    offset: Tensor
    timed: bool

    @classmethod
    def of(cls, x: Tensor, high: int, unit: Tensor, offset: Tensor, timed: bool) -> Map:
        """The map with ``x`` in the smallest type that holds 0..``high``."""
        kinds = ((255, torch.uint8), (32767, torch.int16), ((1 << 31) - 1, torch.int32))
        kind = next((kind for most, kind in kinds if high <= most), torch.int64)
        return cls(x.to(kind), high, unit, offset, timed)

    def pooled(self, pool: Pool) -> Map:
        """The map behind a pool; the average is a sum."""
        if pool.kind == "max":
            x = torch.cat([F.max_pool2d(part.float(), pool.kernel, pool.stride) for part in self.x.split(CHUNK)])
            return Map.of(x, self.high, self.unit, self.offset, self.timed)
        area, kernel = pool.kernel**2, pool.kernel
        kind = exact_dtype(self.high * area)
        sums = [F.avg_pool2d(part.to(kind), kernel, pool.stride, divisor_override=1) for part in self.x.split(CHUNK)]
        offset = self.offset * area / pool.parts
        return Map.of(torch.cat(sums), self.high * area, self.unit / pool.parts, offset, self.timed)

    def flat(self) -> Map:
        """The map as a vector (N, C * H * W, 1, 1)."""
        cells = self.x[0, 0].numel()
        unit, offset = (a.repeat_interleave(cells) for a in (self.unit, self.offset))
        return Map(self.x.flatten(1)[:, :, None, None], self.high, unit, offset, self.timed)


def shortcut(layer: Shortcut, x: Tensor) -> Tensor:
    """``x`` (N, C, H, W) of the source as the shortcut gives it."""
    return F.pad(x[..., :: layer.stride, :: layer.stride], (0, 0, 0, 0, layer.before, layer.after))


def places(images: int, cells: Tensor, limit: int, generator: torch.Generator) -> Tensor:
    """Of ``cells`` of a map some (N, p), another choice for each image, about ``limit`` of them together."""
    p = min(len(cells), max(1, limit // images))
    if p == len(cells):
        return cells.expand(images, -1)
    return torch.stack([cells[torch.randperm(len(cells), generator=generator)[:p]] for _ in range(images)])


def inner_cells(layer: Weights, source: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """The cells of the result of ``layer``, of ``size`` (H, W), whose windows see no padding of the map of ``source``
    (H, W); all of them where there are none."""
    lines = []
    for cells, n, k in zip(size, source, layer.weight.shape[2:], strict=True):
        first = torch.arange(cells) * layer.stride - layer.padding
        lines.append((first >= 0) & (first + k <= n))
    inside = (lines[0][:, None] & lines[1]).flatten().nonzero().flatten()
    return inside if len(inside) else torch.arange(size[0] * size[1])


def taken_at(x: Tensor, at: Tensor) -> Tensor:
    """``x`` (N, C, H, W) at the cells ``at`` (N, p): (N * p, C)."""
    rows = x.flatten(2).gather(2, at[:, None].expand(-1, x.shape[1], -1))
    return rows.transpose(1, 2).flatten(0, 1)


def inputs_at(layer: Weights, x: Tensor, at: Tensor) -> Tensor:
    """The inputs (G, N * p, n) of ``layer`` for its outputs at the cells ``at`` (N, p), of integers ``x``."""
    kernel = layer.weight.shape[2:] if layer.weight.ndim == 4 else (1, 1)
    found = []
    for part, cells in zip(x.split(CHUNK), at.split(CHUNK), strict=True):
        columns = F.unfold(part.float(), kernel, padding=layer.padding, stride=layer.stride)
        taken = columns.gather(2, cells[:, None].expand(-1, columns.shape[1], -1))
        found.append(taken.unflatten(1, (layer.groups, -1)).permute(1, 0, 3, 2).flatten(1, 2))
    return torch.cat(found, 1)
