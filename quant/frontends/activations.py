"""The activation of a float graph that has levels and a threshold: that of QCFS, quantisation clip-floor-shift (Bu et
al., "Optimal ANN-SNN conversion for high-accuracy and ultra-low-latency spiking neural networks", ICLR 2022).

h(z) = lambda * clip(floor(z * L / lambda + 1/2) / L, 0, 1), with lambda learned. With L = T an integrate-and-fire
neuron of threshold lambda, initial membrane lambda / 2 and reset by subtraction gives T * h(z) / lambda spikes for a
current that is constant in time; for other currents the lossless rule does (``quant.ir.ops.IF``).

A method whose activation rounds in another way, or not at all, derives it from :class:`QCFS`, so that what reads and
converts float graphs needs to know no method.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

__all__ = ["QCFS"]


class _Activation(torch.autograd.Function):
    """h(z) and its gradient, in few passes over memory: with [.] for 0 < z < lambda, dh/dz = [.] and
    dh/dlog(lambda) = h - z [.], which is level - z/lambda inside and 1 above, times lambda. ``quantise`` takes values
    0..levels to whole ones."""

    @staticmethod
    def forward(
        ctx: Any, z: Tensor, log_threshold: Tensor, levels: int, quantise: Callable[[Tensor], Tensor]
    ) -> Tensor:
        ctx.threshold = threshold = log_threshold.exp().item()
        h = quantise((z / threshold).clamp_(0, 1).mul_(levels)).div_(levels).mul_(threshold)
        ctx.save_for_backward(z, h, log_threshold)
        return h

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        z, h, log_threshold = ctx.saved_tensors
        grad = grads[0] if grads[0].stride() == z.stride() else torch.empty_like(z).copy_(grads[0])
        of_z = torch.ops.aten.hardtanh_backward(grad, z, 0.0, ctx.threshold)
        of_log = (grad * h).sum(dtype=log_threshold.dtype) - (of_z * z).sum(dtype=log_threshold.dtype)
        return of_z, of_log, None, None


class QCFS(nn.Module):
    """The activation, one threshold a layer.

    Parameters: ``levels``, L >= 1; ``threshold``, the first value of lambda (the authors use 8.0, see also
    :func:`calibrate`). The learned parameter is log(lambda), so that lambda stays positive whatever the optimiser
    does (a plain one can train negative); keep it out of the weight decay, which would pull lambda towards 1. The
    gradient passes the floor unchanged (straight through) and is that of the clip elsewhere.
    ``most``, the upper end of the clamp that it took the place of: :func:`calibrate` sets no lambda above it.
    Raises ValueError for levels < 1 or a threshold that is not positive.
    """

    most = math.inf

    def __init__(self, levels: int, threshold: float = 8.0) -> None:
        super().__init__()
        if levels < 1:
            raise ValueError(f"levels (L) must be a positive integer, not {levels!r}")
        if not (threshold > 0 and math.isfinite(threshold)):
            raise ValueError(f"A QCFS threshold must be positive and finite, not {threshold!r}")
        self.levels = levels
        self.log_threshold = nn.Parameter(torch.tensor(math.log(threshold)))

    @property
    def threshold(self) -> Tensor:
        """lambda, a positive scalar."""
        return self.log_threshold.exp()

    def forward(self, z: Tensor) -> Tensor:
        """h(z)."""
        if torch.compiler.is_compiling():  # which fuses these, and the batch norm before them, into one pass
            threshold = self.threshold
            u = (z.float() / threshold).clamp(0, 1) * self.levels
            whole = self.quantise(u.detach().clone())
            return ((u + (whole - u).detach()) / self.levels * threshold).to(z.dtype)
        return cast(Tensor, _Activation.apply(z, self.log_threshold, self.levels, self.quantise))

    def quantise(self, u: Tensor) -> Tensor:
        """Values 0..L to whole ones, half rounded up, in place; other methods have other activations."""
        return u.add_(0.5).floor_()

    def extra_repr(self) -> str:
        """The settings, for print(model)."""
        return f"levels={self.levels}, threshold={self.threshold.item():.4g}"
