"""Training images changed at random, so that a network sees more of them than there are. Each image has its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["erased", "mirrored", "moved"]


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


def erased(x: Tensor, size: int, at: Tensor | None = None) -> Tensor:
    """Images (N, C, H, W) without a square of ``size`` pixels around ``at`` (2, N), rows and columns from 0, which may
    reach over the border (DeVries and Taylor, "Improved regularization of convolutional neural networks with cutout",
    arXiv 1708.04552).

    In its place comes the mean of each channel of the image, as a whole number. At random where ``at`` is None.
    """
    if not size:
        return x
    n, _, h, w = x.shape
    y0, x0 = (torch.stack([torch.randint(h, (n,)), torch.randint(w, (n,))]) if at is None else at).to(x.device)
    inside = []
    for centre, length in ((y0, h), (x0, w)):
        place = torch.arange(length, device=x.device) - (centre[:, None] - size // 2)
        inside.append((place >= 0) & (place < size))
    square = inside[0][:, :, None] & inside[1][:, None, :]
    return torch.where(square[:, None], x.mean((2, 3), keepdim=True).round(), x)
