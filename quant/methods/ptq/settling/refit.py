"""Weights that give the float results from quantised inputs: least squares, and rounding that makes up for its errors.

For a layer with inputs q (n, integers) at many places, results z of the float network and an activation that is flat
below an end e and above the clip (of a ReLU e = 0), the weights V of least squares solve

    minimise over V, b:  sum of (V q + b - t)^2 + ridge * sum over i of H_ii (V_i - W_i)^2,    H = sum of q q'

with t = z inside, t = min(V q + b, e) where z is below e, and t = max(V q + b, clip) where it is above the clip: what
the activation does not show costs nothing. t and V are found in turns, and each turn lowers the error. Where a layer is
seen at few places for its inputs, the ridge is larger by as much (:data:`FEW`): least squares would fit those images.

Rounding (GPTQ, Frantar et al., ICLR 2023, in the form of Babai's nearest plane): weight after weight is rounded, and
those that are left take over the error, with a factor of H. Means are taken out of q and z first, for the bias is free.
Arrays have a leading axis of groups.
"""

from __future__ import annotations

from functools import cached_property

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

FEW = 100
"""Places for each input of a layer below which the ridge grows."""

DAMP = 0.003
"""Added to the diagonal of H for the rounding, as a share of its mean."""

BLOCK = 64
"""Columns that are rounded before their errors go to all others."""


class Moments:
    """Second moments of inputs ``q`` (G, M, n): ``h`` (G, n, n) around the means ``mean`` (G, n), double."""

    def __init__(self, q: Tensor) -> None:
        self.mean = q.mean(1).double()
        self.q = q - self.mean[:, None].float()
        self.h = (self.q.transpose(1, 2) @ self.q).double()
        self.diagonal = self.h.diagonal(dim1=1, dim2=2)

    @cached_property
    def factor(self) -> tuple[Tensor, Tensor, Tensor]:
        """``order`` (G, n) of the inputs, those of the largest moments last; U (G, n, n), float, and D (G, n), double,
        of their damped moments U' D U in that order."""
        order = self.diagonal.argsort(1)
        n = order.shape[1]
        h = self.h.gather(1, order[:, :, None].expand(-1, n, n)).gather(2, order[:, None].expand(-1, n, n))
        damp = DAMP * self.diagonal.mean(1).clamp(min=1e-9)
        h.diagonal(dim1=1, dim2=2).add_(damp[:, None])
        upper = torch.linalg.cholesky(h, upper=True)
        roots = upper.diagonal(dim1=1, dim2=2).clone()
        return order, (upper / roots[:, :, None]).float(), roots.square()

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
    groups, rows, n = weight.shape
    ridge *= max(1.0, FEW * n / moments.q.shape[1])
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


def rounded(moments: Moments, v: Tensor, low: int, high: int) -> tuple[Tensor, Tensor]:
    """Whole weights low..high near ``v`` (G, R, n), which is in units of their scale: the columns with the largest
    moments first; and the loss (G, R) of each row, see :meth:`Moments.loss`.

    With H = U' D U, U upper triangular with ones in its diagonal, the loss of the errors e is the sum over k of
    D_k (sum over j >= k of U_kj e_j)^2. The last column is rounded first, and each one before it takes over the sum of
    the errors behind it, so that one square is left of it. Blocks of columns take over those of blocks behind at once.
    """
    order, upper, pivots = moments.factor
    groups, rows, n = v.shape
    across = order[:, :, None].expand(groups, n, rows)
    left = v.transpose(1, 2).gather(1, across).float()
    error, loss = torch.zeros_like(left), torch.zeros(groups, rows, dtype=torch.float64)
    for end in range(n, 0, -BLOCK):
        first = max(0, end - BLOCK)
        aim = left[:, first:end] + upper[:, first:end, end:] @ error[:, end:]
        for k in range(end - 1, first - 1, -1):
            mine = aim[:, k - first]
            error[:, k] = left[:, k] - mine.round().clamp(low, high)
            aim[:, : k - first] += upper[:, first:k, k, None] * error[:, None, k]
        off = aim - left[:, first:end] + error[:, first:end]
        loss += (off.double().square() * pivots[:, first:end, None]).sum(1)
    whole = torch.empty_like(left).scatter_(1, across, left - error)
    return whole.round().transpose(1, 2), loss
