"""Training images changed at random, so that a network sees more of them than there are."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["mirrored", "moved"]


def mirrored(x: Tensor) -> Tensor:
    """Images (N, C, H, W), each mirrored left to right with probability 1/2."""
    return torch.where((torch.rand(len(x)) < 0.5).to(x.device)[:, None, None, None], x.flip(3), x)


def moved(x: Tensor, shift: int) -> Tensor:
    """Images (N, C, H, W), each moved by up to ``shift`` pixels at random, zeros coming in."""
    if not shift:
        return x
    n, c, h, w = x.shape
    dy, dx = torch.randint(2 * shift + 1, (2, n)).to(x.device)
    rows, columns = dy[:, None] + torch.arange(h, device=x.device), dx[:, None] + torch.arange(w, device=x.device)
    wide = F.pad(x, (shift,) * 4).movedim(1, 3)
    every = torch.arange(n, device=x.device)
    return wide[every[:, None, None], rows[:, :, None], columns[:, None, :]].movedim(3, 1)
