"""Weights that give the float results from quantised inputs: least squares, and rounding that makes up for its errors.

For a layer with inputs q (n, integers) at many places, results z of the float network and an activation that is flat
below an end e and above the clip (of a ReLU e = 0), the weights V of least squares solve

    minimise over V, b:  sum of (V q + b - t)^2 + ridge * sum over i of H_ii (V_i - W_i)^2,    H = sum of q q'

with t = z inside, t = min(V q + b, e) where z is below e, and t = max(V q + b, clip) where it is above the clip: what
the activation does not show costs nothing. t and V are found in turns, and each turn lowers the error.

Rounding (GPTQ, Frantar et al., ICLR 2023): weight after weight is rounded, and those that are left take over the error,
with the inverse of H. Means are taken out of q and z first, for the bias is free. Arrays have a leading axis of groups.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Ends", "Moments", "hidden", "refitted", "rounded"]

Ends = tuple[Tensor, Tensor]
"""Below the first and above the second (Co,) an activation is flat."""

TURNS = 8
"""Turns of the least squares."""

BEYOND = 1.7
"""A turn goes so many times as far as its solution, which is nearer to that of all turns (below 2 the error still
falls)."""

DAMP = 0.003
"""Added to the diagonal of H for the rounding, as a share of its mean."""


class Moments:
    """Second moments of inputs ``q`` (G, M, n): ``h`` (G, n, n) around the means ``mean`` (G, n), double."""

    def __init__(self, q: Tensor) -> None:
        self.mean = q.mean(1).double()
        self.q = q - self.mean[:, None].float()
        self.h = (self.q.transpose(1, 2) @ self.q).double()
        self.diagonal = self.h.diagonal(dim1=1, dim2=2)

    def loss(self, error: Tensor) -> Tensor:
        """Sum of squares (G, R) that weights wrong by ``error`` (G, R, n) make, but for their mean."""
        return ((error @ self.h) * error).sum(2).clamp(min=0)


def hidden(z: Tensor, found: Tensor, ends: Ends | None) -> Tensor:
    """What the results ``found`` are to be where the float network has ``z``, both (..., Co); ``ends`` of the
    activation, None for a layer without one."""
    if ends is None:
        return z
    bottom, clip = ends
    low = torch.where(z < bottom, torch.minimum(found, bottom), z)
    return torch.where(z > clip, torch.maximum(found, clip), low)


def refitted(
    moments: Moments, weight: Tensor, z: Tensor, rest: Tensor, bias: Tensor, ends: Ends | None, ridge: float
) -> Tensor:
    """Weights V (G, R, n) of least squares, from the float ``weight`` (G, R, n) with its ``bias`` (Co,), the results
    ``z`` (M, Co) of the float network, of which other layers give ``rest`` (M, Co), and the ``ends``."""
    groups, rows, _ = weight.shape
    damp = ridge * moments.diagonal + 1e-6 * moments.diagonal.mean(1, keepdim=True) + 1e-9
    factor = torch.linalg.cholesky(moments.h + torch.diag_embed(damp))
    v, pull = weight.double(), weight.double() * damp[:, None]
    b = bias + (v * moments.mean[:, None]).sum(2).flatten()  # at the mean of the inputs
    turns, beyond = (1, 1.0) if ends is None else (TURNS, BEYOND)
    for _ in range(turns):
        found = (moments.q @ v.float().transpose(1, 2)).transpose(0, 1).flatten(1)
        t = hidden(z, found + rest + b.float(), ends) - rest
        middle = t.mean(0)
        aim = (t - middle).unflatten(1, (groups, rows)).permute(1, 2, 0)
        solved = torch.cholesky_solve(((aim @ moments.q).double() + pull).transpose(1, 2), factor).transpose(1, 2)
        v, b = v + beyond * (solved - v), b + beyond * (middle.double() - b)
    return v


def rounded(moments: Moments, v: Tensor, low: int, high: int) -> Tensor:
    """Whole weights low..high near ``v`` (G, R, n), which is in units of their scale: the columns with the largest
    moments first."""
    order = moments.diagonal.argsort(1, descending=True)
    groups, rows, n = v.shape
    across = order[:, None].expand(groups, rows, n)
    damp = DAMP * moments.diagonal.mean(1).clamp(min=1e-9)[:, None, None] * torch.eye(n, dtype=torch.float64)
    h = (moments.h + damp).gather(1, order[:, :, None].expand(-1, n, n)).gather(2, order[:, None].expand(-1, n, n))
    upper = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h)), upper=True).float()
    left = v.gather(2, across).float().clone()
    for k in range(n):
        whole = left[:, :, k].round().clamp(low, high)
        error = (left[:, :, k] - whole) / upper[:, k, k, None]
        left[:, :, k] = whole
        left[:, :, k + 1 :] -= error[:, :, None] * upper[:, None, k, k + 1 :]
    return torch.empty_like(left).scatter_(2, across, left)
