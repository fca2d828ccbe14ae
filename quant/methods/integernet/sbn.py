"""Shift-based batch norm as a module, the only activation of :mod:`~.integernet` (Guo, Cui, Wang, arXiv 2106.00127)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...conversion.rounding import floor_ste, round_ste
from ...conversion.shift_norm import ShiftNorm, shift_batch_norm
from ...ir.ops import NetworkError

__all__ = ["SBN"]

MOMENTUM = 0.1
"""The share of a new batch in the running averages."""

LEAST_SHIFT = -8
"""The smallest shift of a Requant; in training a smaller std (0 in a dead channel) counts as the one of this shift."""


class SBN(nn.Module):
    """Shift-based batch norm and quantiser, see the head of ``methods.integernet``; channels are the second axis.

    Parameters: ``channels``; ``bits``, n, 2..8; ``signed``, the range of the result; ``name``, for messages; ``moved``,
    whether there is a ``beta`` (C,), learned, at first 0: the one of batch norm, added to y. The authors tried such
    offsets and have none; without them, half of the values of every layer are 0 whatever it learns.
    Buffers: ``running_mean`` and ``running_std`` (C,), averages of the batches' mean and unbiased std (of the std
    itself, not of the variance); ``batches``, how many there were, of which the first sets the averages.
    """

    running_mean: Tensor
    running_std: Tensor
    batches: Tensor

    def __init__(
        self, channels: int, bits: int, *, signed: bool = False, name: str = "SBN", moved: bool = False
    ) -> None:
        super().__init__()
        if not 2 <= bits <= 8:
            raise NetworkError(f"{name}: bits must be in 2..8, not {bits}")
        self.bits, self.signed, self.name = bits, signed, name
        self.offset = (3 if signed else 2) - bits
        self.high = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1
        self.low = -self.high if signed else 0
        self.beta = nn.Parameter(torch.zeros(channels)) if moved else None
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_std", torch.ones(channels))
        self.register_buffer("batches", torch.tensor(0))

    def forward(self, a: Tensor, over: Tensor | None = None) -> Tensor:
        """Quantise the sums ``a`` (N, C) or (N, C, H, W), in training by mean and std of ``over`` (None: ``a``)."""
        channel = (-1, *[1] * (a.ndim - 2))
        if not self.training:
            bias, shift, *_ = (torch.as_tensor(v, device=a.device) for v in self.integers())
            y = a.long() - bias.view(channel)
            y = (y << (-shift).clamp(min=0).view(channel)) >> shift.clamp(min=0).view(channel)
            return y.clamp(self.low, self.high).to(a.dtype)
        over = a if over is None else over
        if over.numel() < 2 * over.shape[1]:
            raise ValueError(f"{self.name}: training needs two values a channel, not one of shape {tuple(over.shape)}")
        std, mean = torch.std_mean(over.float(), (0, *range(2, over.ndim)))
        self._average(mean.detach(), std.detach())
        shift = round_ste(std.clamp(min=2.0 ** (LEAST_SHIFT - self.offset)).log2()) + self.offset
        bias = round_ste(mean if self.beta is None else mean - self.beta * torch.exp2(shift))
        y = (a - bias.view(channel)) * torch.exp2(-shift).view(channel)
        return floor_ste(y).clamp(self.low, self.high).to(a.dtype)

    def _average(self, mean: Tensor, std: Tensor) -> None:
        share = torch.where(self.batches == 0, 1.0, MOMENTUM)  # a tensor: a number would cut a compiled graph here
        self.running_mean.lerp_(mean, share)
        self.running_std.lerp_(std, share)
        self.batches += 1

    def integers(self) -> ShiftNorm:
        """What evaluation computes with. Raises NetworkError, naming layer and channel, for a dead channel and NaN."""
        if not self.batches.item():
            raise NetworkError(f"{self.name}: has seen no batch in training, so it has neither a mean nor a std")
        mean, std = (buffer.detach().cpu().double().numpy() for buffer in (self.running_mean, self.running_std))
        beta = 0.0 if self.beta is None else self.beta.detach().cpu().double().numpy()
        return shift_batch_norm(mean, std, self.bits, self.signed, beta=beta, name=self.name)

    @torch.no_grad()
    def start(self, a: Tensor, bias: Tensor) -> Tensor:
        """Become, as nearly as whole numbers can, y = a + ``bias`` rounded, in units (C,) that are returned: 2^shift.

        ``a`` are sums of a few images, ``bias`` (C,) is what a trained layer adds to them. Without a ``beta`` only
        the unit follows."""
        std, mean = torch.std_mean(a.double(), (0, *range(2, a.ndim)))
        unit = torch.exp2(std.clamp(min=2.0 ** (LEAST_SHIFT - self.offset)).log2().round() + self.offset)
        if self.beta is not None:
            self.beta.copy_((mean + bias) / unit + 0.5)
        return unit

    def extra_repr(self) -> str:
        """The settings, for print(model)."""
        return f"{len(self.running_mean)}, bits={self.bits}, signed={self.signed}"
