"""Weights of few values, all integers: additive powers of two, as Fast-SNN has them, or uniform ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ...conversion.rounding import on_grid

__all__ = ["GRIDS", "GridWeights", "magnitudes"]

GRIDS = ("apot", "uniform")

ADDITIVE = {2: (0, 1), 3: (0, 1, 2, 4), 4: (0, 1, 2, 3, 4, 6, 8, 10)}
"""Sums of few powers of two, by bits with the sign; 2 bits are ternary."""


def magnitudes(bits: int, grid: str = "apot") -> tuple[int, ...]:
    """The magnitudes of weights of ``bits`` bits, sign included; the integers of 4 and 3 bits "apot" need 5 and 4.

    Raises ValueError for bits or grids that there are not.
    """
    if grid not in GRIDS:
        raise ValueError(f"grid must be {' or '.join(map(repr, GRIDS))}, not {grid!r}")
    if grid == "apot" and bits in ADDITIVE:
        return ADDITIVE[bits]
    if grid == "uniform" and 2 <= bits <= 8:
        return tuple(range(1 << (bits - 1)))
    raise ValueError(f"weight_bits must be in {'2..4' if grid == 'apot' else '2..8'} for grid {grid!r}, not {bits}")


class GridWeights(nn.Module):
    """A parametrisation of weights W, those of Fast-SNN with the layer's standard deviation multiplied in again:

        W' = std * alpha * Q(clip((W - mean) / std / alpha, -1, 1)),

    mean and std over the layer, alpha a learned scalar, Q the nearest of +-magnitudes / the largest magnitude. Batch
    norm takes std out again; without one it keeps the layer's scale. The logarithm of alpha is what is learned.
    """

    grid: Tensor

    def __init__(self, bits: int, grid: str = "apot", *, alpha: float = 3.0) -> None:
        super().__init__()
        self.log_alpha = nn.Parameter(torch.tensor(math.log(alpha)))
        self.set(bits, grid)

    def set(self, bits: int, grid: str) -> None:
        """Change the values allowed."""
        self.register_buffer("grid", torch.tensor(magnitudes(bits, grid), dtype=torch.float32), persistent=False)

    def codes(self, weight: Tensor) -> Tensor:
        """The integers of the original weights W."""
        return self._quantised(weight)[0]

    def forward(self, weight: Tensor) -> Tensor:
        """W'."""
        codes, scale = self._quantised(weight)
        return codes * scale

    def _quantised(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        std, mean = torch.std_mean(weight.detach())
        scale = self.log_alpha.exp() * std / self.grid[-1]
        return on_grid((weight - mean) / scale, self.grid), scale
