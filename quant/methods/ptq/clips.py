"""Clips: what one of the levels of an activation is worth, found by the mean squared error on calibration images."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Clips", "rounding_error"]

SHARES = torch.cat([torch.logspace(-2.4, -0.45, 12, base=10.0), torch.linspace(0.4, 1.05, 27)])
"""Clips tried, as shares of the largest value."""

BINS = 2048
"""A channel's values are counted in so many bins, of one width a channel, before clips are tried."""


class Clips:
    """The positive values of an activation of ``levels`` steps above 0, channel by channel, in bins.

    ``x`` (M, C) are what the ReLU gives for the calibration images. Raises ValueError where a value is not finite.
    """

    def __init__(self, x: Tensor, levels: int) -> None:
        rows = x.T
        if not bool(torch.isfinite(rows).all()):
            raise ValueError("gives NaN or infinity")
        self.levels, self.values = levels, rows.shape[1]
        self.most = rows.amax(1).double()
        width = self.most.clamp(min=1e-30) / BINS
        bins = (rows / width.float()[:, None]).long().clamp_(0, BINS - 1)
        bins += torch.arange(len(rows))[:, None] * BINS
        counted = torch.bincount(bins.flatten(), minlength=len(rows) * BINS).view(len(rows), BINS)
        sums = torch.bincount(bins.flatten(), rows.flatten().double(), len(rows) * BINS).view(len(rows), BINS)
        self.counts = counted.double()
        self.means = torch.where(counted > 0, sums / counted.clamp(min=1), torch.zeros(()).double())

    def error(self, unit: Tensor) -> Tensor:
        """Sum over all values of the squared error (C,) where a level is worth ``unit`` (C,)."""
        return (self.counts * rounding_error(self.means, unit[:, None], self.levels)).sum(1)

    def units(self, share: float) -> Tensor:
        """What a level is worth (C,), of least error: one for the layer (``share`` 0), one a channel (1), or their
        weighted geometric mean. A channel that gives nothing has that of the layer; all ones where none gives anything.
        """
        tried = SHARES.double() / self.levels
        layer = self.most.max()
        if layer <= 0:
            return torch.ones_like(self.most)
        every = torch.stack([self.error((layer * f).expand_as(self.most)).sum() for f in tried])
        common = layer * tried[every.argmin()]
        own = torch.stack([self.error((self.most * f).clamp(min=1e-30)) for f in tried])
        channel = (self.most * tried[own.argmin(0)]).clamp(min=common * 2.0**-10)
        channel = torch.where(self.most > 0, channel, common)
        return torch.exp(share * channel.log() + (1 - share) * common.log())


def rounding_error(x: Tensor, unit: Tensor, levels: int) -> Tensor:
    """The squared error of the nearest of 0, ``unit``, ..., ``levels`` * ``unit`` to ``x``."""
    return ((x / unit).round().clamp(0, levels) * unit - x).square()
