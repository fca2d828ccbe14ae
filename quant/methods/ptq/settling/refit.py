"""Weights that give the float results from quantised inputs: least squares, and rounding that makes up for its errors.

For a layer with inputs q (n, integers) at many places, results z of the float network and an activation that is flat
below an end e and above the clip (of a ReLU e = 0), the weights V of least squares solve

    minimise over V, b:  sum of (V q + b - t)^2 + ridge * sum over i of H_ii (V_i - W_i)^2,    H = sum of q q'

with t = z inside, t = min(V q + b, e) where z is below e, and t = max(V q + b, clip) where it is above the clip: what
the activation does not show costs nothing. t and V are found in turns, and each turn lowers the error. The ridge is the
one with which weights that are fitted to half of the images do best on the other half: where a layer has many inputs
and is seen in few images, least squares alone would learn those images by heart.

Rounding (GPTQ, Frantar et al., ICLR 2023, in the form of Babai's nearest plane): weight after weight is rounded, and
those that are left take over the error, with a factor of H. Means are taken out of q and z first, for the bias is free.
Arrays have a leading axis of groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["Aim", "Ends", "Moments", "best_ridge", "hidden", "refitted", "rounded"]

Ends = tuple[Tensor, Tensor]
"""Below the first and above the second (Co,) an activation is flat."""

TURNS = 8
"""Turns of the least squares."""

BEYOND = 1.7
"""A turn goes so many times as far as its solution, which is nearer to that of all turns (below 2 the error still
falls)."""

RIDGES = tuple(0.003 * 10**k for k in range(6))
"""Ridges that are tried, from the least on while the error on the other half of the images falls. The least one only
steadies weights whose inputs are rarely seen; the largest one leaves all weights as they were trained."""

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


@dataclass(frozen=True)
class Aim:
    """What a layer with weights should produce: the float network's results ``z`` (M, Co), less the part ``rest``
    (M, Co) that other layers add; ``bias`` (Co,), the start of the bias search; ``ends`` of the activation."""

    z: Tensor
    rest: Tensor
    bias: Tensor
    ends: Ends | None

    def at(self, rows: Tensor) -> Aim:
        """That of some of the places."""
        return Aim(self.z[rows], self.rest[rows], self.bias, self.ends)

    def loss(self, found: Tensor) -> float:
        """Sum of the squared errors that show of the results ``found`` (M, Co) of this layer alone."""
        found = found + self.rest
        return (found - hidden(self.z, found, self.ends)).square().sum().item()


def refitted(moments: Moments, weight: Tensor, aim: Aim, ridge: float) -> tuple[Tensor, Tensor]:
    """Weights V (G, R, n) of least squares, from the float ``weight`` (G, R, n), and the results b (Co,) at the mean of
    the inputs."""
    groups, rows, _ = weight.shape
    damp = ridge * moments.diagonal + 1e-6 * moments.diagonal.mean(1, keepdim=True) + 1e-9
    factor = torch.linalg.cholesky(moments.h + torch.diag_embed(damp))
    v, pull = weight.double(), weight.double() * damp[:, None]
    b = aim.bias + (v * moments.mean[:, None]).sum(2).flatten()
    turns, beyond = (1, 1.0) if aim.ends is None else (TURNS, BEYOND)
    for _ in range(turns):
        found = (moments.q @ v.float().transpose(1, 2)).transpose(0, 1).flatten(1)
        t = hidden(aim.z, found + aim.rest + b.float(), aim.ends) - aim.rest
        middle = t.mean(0)
        wanted = (t - middle).unflatten(1, (groups, rows)).permute(1, 2, 0)
        solved = torch.cholesky_solve(((wanted @ moments.q).double() + pull).transpose(1, 2), factor).transpose(1, 2)
        v, b = v + beyond * (solved - v), b + beyond * (middle.double() - b)
    return v, b


def best_ridge(moments: Moments, weight: Tensor, aim: Aim, images: int) -> float:
    """The one of :data:`RIDGES` with which :func:`refitted` has the least error on images that it has not seen.

    Weights are fitted to every second one of ``images`` and tried on the others, then the other way round; a single
    image is cut in half. The places of an image must follow each other.
    """
    places = moments.q.shape[1]
    image = torch.arange(places) * max(images, 2) // places
    if places < 2:  # nothing is left to try it on
        return RIDGES[-1]
    moved = Aim(aim.z, aim.rest, aim.bias + (weight.double() * moments.mean[:, None]).sum(2).flatten(), aim.ends)
    halves = [(image % 2 == k, image % 2 != k) for k in (0, 1)]
    seen = [Moments(moments.q[:, half]) for half, _ in halves]
    best, least = RIDGES[0], float("inf")
    for ridge in RIDGES:
        lost = 0.0
        for half, (mine, others) in zip(seen, halves, strict=True):
            v, b = refitted(half, weight, moved.at(mine), ridge)
            q = moments.q[:, others] - half.mean[:, None].float()
            lost += moved.at(others).loss((q @ v.float().transpose(1, 2)).transpose(0, 1).flatten(1) + b.float())
        if lost >= least:
            break
        best, least = ridge, lost
    return best


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
