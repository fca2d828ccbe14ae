"""Clips: what one of the levels of an activation is worth, found by the mean squared error on calibration images."""

from __future__ import annotations

import torch
from torch import Tensor

from .levels import Levels

__all__ = ["Clips", "rounding_error"]

SHARES = torch.cat([torch.logspace(-2.4, -0.45, 12, base=10.0), torch.linspace(0.4, 1.05, 27)])
"""Clips tried, as shares of the largest value."""

BINS = 2048
"""A channel's values are counted in so many bins each way of 0, of one width a channel, before clips are tried."""


class Clips:
    """The values of an activation, channel by channel, in bins.

    ``x`` (M, C) are what it gives for the calibration images, of ``levels``; once :meth:`units` has found what one is
    worth, ``levels`` are those that are left. Raises ValueError where a value is not finite.
    """

    def __init__(self, x: Tensor, levels: Levels) -> None:
        rows = x.T
        if not bool(torch.isfinite(rows).all()):
            raise ValueError("gives NaN or infinity")
        self.every = self.levels = levels
        self.values = rows.shape[1]
        self.most = rows.abs().amax(1).double()
        width = self.most.clamp(min=1e-30) / BINS
        first, many = (-BINS, 2 * BINS) if levels.low < 0 else (0, BINS)
        bins = (rows / width.float()[:, None]).floor().long().clamp_(first, BINS - 1) - first
        bins += torch.arange(len(rows))[:, None] * many
        counted = torch.bincount(bins.flatten(), minlength=len(rows) * many).view(len(rows), many)
        sums = torch.bincount(bins.flatten(), rows.flatten().double(), len(rows) * many).view(len(rows), many)
        self.counts = counted.double()
        self.means = torch.where(counted > 0, sums / counted.clamp(min=1), torch.zeros(()).double())

    def error(self, unit: Tensor) -> Tensor:
        """Sum over all values of the squared error (C,) where a level is worth ``unit`` (C,)."""
        return (self.counts * rounding_error(self.means, unit[:, None], self.levels)).sum(1)

    def units(self, share: float) -> Tensor:
        """What a level is worth (C,), of least error: one for the layer (``share`` 0), one a channel (1), or their
        weighted geometric mean. A channel that gives nothing has that of the layer; all ones where none gives anything.
        That of the layer says which levels are left; none is worth more than they allow.
        """
        given, tried = self.every, SHARES.double() / self.every.hi
        layer = self.most.max()
        if layer <= 0:
            self.levels = given.worth(min(1.0, given.coarsest))
            return torch.ones_like(self.most).clamp(max=self.levels.widest)
        errors, found = list[Tensor](), list[tuple[Tensor, Levels]]()
        for unit in (layer * tried).clamp(max=given.coarsest):
            self.levels = given.worth(unit.item())
            found.append((unit.clamp(max=self.levels.widest), self.levels))
            errors.append(self.error(found[-1][0].expand_as(self.most)).sum())
        common, self.levels = found[torch.stack(errors).argmin()]
        own = torch.stack([self.error(self._own(f)) for f in tried])
        channel = self._own(tried[own.argmin(0)]).clamp(min=common * 2.0**-10)
        channel = torch.where(self.most > 0, channel, common)
        return torch.exp(share * channel.log() + (1 - share) * common.log())

    def _own(self, share: Tensor) -> Tensor:
        """What a level is worth (C,), as a ``share`` of the largest value of each channel."""
        return (self.most * share).clamp(1e-30, self.levels.widest)


def rounding_error(x: Tensor, unit: Tensor, levels: Levels) -> Tensor:
    """The squared error of the nearest of the ``levels``, each worth ``unit``, to ``x``."""
    return ((x / unit).round().clamp(levels.lo, levels.hi) * unit - x).square()
