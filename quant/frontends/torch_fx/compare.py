"""When two results are the same: up to the rounding of what is added up for them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..layers import UnsupportedLayer

__all__ = ["SEED", "compare", "largest", "scales"]

SEED = 20260
"""Of the images and random numbers that are compared on."""

SPREAD = 1000
"""Times the precision of the numbers, and the size of what is added up, is as far as two right results may differ."""

WHY = (
    "as by a forward hook, a parametrisation, an operation in place or a forward of its own; supported: the layers of "
    "torch.nn as they are, in a forward that does the same in every call and writes over nothing that is read again"
)


def scales(norm: Any) -> tuple[Tensor, Tensor]:
    """Of each channel of a batch norm, how much larger its result is than what it takes, and how large the numbers are
    that it adds to that."""
    gain = (norm.running_var + norm.eps).rsqrt() * (1 if norm.weight is None else norm.weight.abs())
    return gain, 2 * gain * norm.running_mean.abs() + (0 if norm.bias is None else norm.bias.abs())


def largest(x: Tensor) -> Tensor:
    """The size of the largest of some numbers, 0 of none."""
    return x.detach().abs().nan_to_num(0, 0, 0).max() if x.numel() else x.new_zeros(())


def compare(
    name: str, got: Tensor, want: Tensor, size: Tensor, where: tuple[str, str] = ("in the model", "as a layer")
) -> None:
    """Raise UnsupportedLayer where ``got`` is not ``want``, as found ``where``, up to the rounding of ``size``."""
    if got.dtype != want.dtype:  # how far two results of few bits may differ says nothing
        raise UnsupportedLayer(
            f"{name}: gives numbers of type {want.dtype} {where[0]} and {got.dtype} {where[1]}; supported: a forward "
            f"without torch.autocast in it"
        )
    if got.shape != want.shape:
        raise UnsupportedLayer(
            f"{name}: gives the shape {tuple(want.shape[1:])} {where[0]} and {tuple(got.shape[1:])} {where[1]}, {WHY}"
        )
    wide = want.double() - got.double()
    allowed = size.double() * SPREAD * torch.finfo(want.dtype).eps
    # A network that diverged is not another one: what holds NaN is refused elsewhere, by its own name.
    good = (wide.abs() <= allowed) | (~want.isfinite() & ~got.isfinite())
    if not good.all():
        at = int((~good).flatten().nonzero()[0])
        raise UnsupportedLayer(
            f"{name}: gives {want.flatten()[at].item():.6g} {where[0]} and {got.flatten()[at].item():.6g} {where[1]}, "
            f"{WHY}"
        )
