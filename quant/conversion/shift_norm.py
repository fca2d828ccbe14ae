"""Shift-based batch norm: from the statistics of a layer to integers (Guo, Cui, Wang, IntegerNet, arXiv 2106.00127)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..ir.bounds import NetworkError, integers

__all__ = ["ShiftNorm", "shift_batch_norm"]


class ShiftNorm(NamedTuple):
    """Fields of a :class:`~quant.ir.ops.Requant`: y[c] = clamp((a[c] - bias[c]) >> shift[c], lo, hi); arrays (C,),
    int64."""

    bias: np.ndarray
    shift: np.ndarray
    lo: int
    hi: int


def shift_batch_norm(
    mean: np.ndarray,
    std: np.ndarray,
    bits: int,
    signed: bool = False,
    *,
    beta: np.ndarray | float = 0.0,
    name: str = "shift batch norm",
) -> ShiftNorm:
    """Integers of a shift-based batch norm, from the mean and standard deviation of each channel's accumulator.

    bias = round(mean - beta * 2^shift) and shift = round(log2(std)) + (3 if signed else 2) - bits, both rounded half to
    even; without ``beta``, as published, the window is 0..4 sigma unsigned, -4..4 sigma signed. Ranges are 0..2^n - 1,
    or -(2^(n-1) - 1)..2^(n-1) - 1.
    A shift may come out negative (a small sigma), which is a shift to the left. Raises NetworkError, naming the layer
    ``name`` and the channel, for a dead channel (std 0, whose logarithm does not exist) and for NaN.
    """
    mean, std = np.asarray(mean, np.float64), np.asarray(std, np.float64)
    if mean.shape != std.shape or mean.ndim != 1:
        raise NetworkError(f"{name}: mean and std must have one value a channel, not shapes {mean.shape}, {std.shape}")
    low = 2 if signed else 1
    if not low <= bits <= 8:
        raise NetworkError(f"{name}: bits must be in {low}..8, not {bits}")
    if (bad := np.flatnonzero(~np.isfinite(mean) | ~np.isfinite(std) | ~np.isfinite(beta))).size:
        moved = f", or beta {np.broadcast_to(beta, mean.shape)[bad[0]]}," if np.ndim(beta) else ""
        raise NetworkError(
            f"{name}: mean {mean[bad[0]]} and std {std[bad[0]]}{moved} of channel {bad[0]} are not finite; "
            f"the training diverged"
        )
    if (bad := np.flatnonzero(std <= 0)).size:
        raise NetworkError(
            f"{name}: channel {bad[0]} is dead (std {std[bad[0]]:g}): a shift-based batch norm has no "
            f"shift for it; remove the channel or train further"
        )
    shift = np.rint(np.log2(std)).astype(np.int64) + (3 if signed else 2) - bits
    hi = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1
    bias = integers(name, "bias", np.rint(mean - beta * np.exp2(shift))).copy()
    return ShiftNorm(bias, shift, -hi if signed else 0, hi)
