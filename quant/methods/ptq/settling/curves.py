"""The staircase of an activation of any shape: thresholds on the integers of the currents, and a value between them.

A current of a is worth s[c] a + b[c] in channel c, and a level of the result u[c]. The staircase gives the level that
is nearest to f(s a + b), for every integer a that the currents can be, or for every n-th one where they are many:

    q(a) = clamp(round(f(s a + b) / u), lo, hi)

has a threshold wherever it changes. f need not rise. The gains s and u are free, for no shift has to make up for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ....ir.ops import Node
from ....ir.ops.staircase import Staircase

__all__ = ["Stairs"]

POINTS = 1 << 15
"""Integers on each side of 0 at which a channel is looked at."""

MOST = 255
"""Thresholds of a channel."""

COARSER = 1.1
"""What a level is worth grows by this factor until the thresholds are few enough."""


@dataclass(frozen=True)
class Stairs:
    """``thresholds`` (C, K), ascending, and ``values`` (C, K + 1) between them, integers, each worth ``unit`` (C,)."""

    thresholds: Tensor
    values: Tensor
    unit: Tensor

    @classmethod
    def of(
        cls,
        function: Callable[[Tensor], Tensor],
        scale: Tensor,
        bias: Tensor,
        unit: Tensor,
        most: int,
        lo: int,
        hi: int,
    ) -> Stairs:
        """Those of ``function`` for currents -``most``..``most``, of which one is worth ``scale`` (C,) beside a
        ``bias`` (C,), with levels ``lo``..``hi`` that are worth ``unit`` (C,), all double, or more."""
        apart = -(-most // POINTS)
        points = torch.arange(-(most // apart), most // apart + 1) * apart
        wanted = function(scale[:, None] * points + bias[:, None])
        unit = unit.clone()
        while True:
            levels = (wanted / unit[:, None]).round().clamp(lo, hi).long()
            changes = levels[:, 1:] != levels[:, :-1]
            many = changes.sum(1) > MOST
            if not bool(many.any()):
                break
            unit[many] *= COARSER
        count = max(1, int(changes.sum(1).max()))
        thresholds = torch.full((len(unit), count), most + 1) + torch.arange(count)  # of what no current reaches
        values = levels[:, :1].repeat(1, count + 1)
        for c, row in enumerate(changes):
            at = row.nonzero().flatten() + 1
            thresholds[c, : len(at)] = points[at]
            values[c, 1 : len(at) + 1] = levels[c, at]
            values[c, len(at) + 1 :] = levels[c, -1]
        if not bool(values.any()):
            values[:, -1] = 1  # a staircase of zeros alone is none; nothing reaches it
        return cls(thresholds, values, unit)

    def results(self, total: Tensor) -> Tensor:
        """What currents (N, C, H, W) become."""
        found = [
            levels[torch.bucketize(total[:, c].long(), row, right=True)]
            for c, (row, levels) in enumerate(zip(self.thresholds, self.values, strict=True))
        ]
        return torch.stack(found, 1)

    def node(self, fields: dict[str, Any]) -> Node:
        """The node of the network."""
        return Staircase(**fields, threshold=self.thresholds.numpy(), values=self.values.numpy())
