"""Training images changed at random, so that a network sees more of them than there are. Each image has its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["mirrored", "moved"]


def mirrored(x: Tensor, turned: Tensor | None = None) -> Tensor:
    """Images (N, C, H, W), mirrored left to right where ``turned`` (N,); at random where it is None: one in two."""
    turned = torch.rand(len(x)) < 0.5 if turned is None else turned
    return torch.where(turned.to(x.device)[:, None, None, None], x.flip(3), x)


def moved(x: Tensor, shift: int, by: Tensor | None = None) -> Tensor:
    """Images (N, C, H, W), moved by ``by`` (2, N), rows and columns 0..2 ``shift``, of which ``shift`` is no move.

    Zeros come in. At random where ``by`` is None.
    """
    if not shift:
        return x
    n, _, h, w = x.shape
    dy, dx = (torch.randint(2 * shift + 1, (2, n)) if by is None else by).to(x.device)
    rows, columns = dy[:, None] + torch.arange(h, device=x.device), dx[:, None] + torch.arange(w, device=x.device)
    wide = F.pad(x, (shift,) * 4).movedim(1, 3)
    every = torch.arange(n, device=x.device)
    return wide[every[:, None, None], rows[:, :, None], columns[:, None, :]].movedim(3, 1)
