"""Batch norm where no layer with weights takes it in, and arithmetic with constants: a factor and a term a channel."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...ir.ops import NetworkError
from ..torch_fx.registry import reads
from .base import Layer, Shape

if TYPE_CHECKING:
    from ..torch_fx.call import Call

__all__ = ["Norm"]


@dataclass(frozen=True)
class Norm(Layer):
    """y = ``gain`` * x + ``bias``, (C,) or (); double. It moves into layers with weights (``rewrites.norms``)."""

    gain: Tensor
    bias: Tensor

    def value(self, x: Sequence[Tensor]) -> Tensor:
        gain, bias = (a.to(x[0].dtype).view(-1, *[1] * (x[0].ndim - 2)) for a in (self.gain, self.bias))
        return x[0] * gain + bias

    def magnitude(self, x: Sequence[Tensor]) -> Tensor:
        return x[0].abs().max() * self.gain.abs().max() + self.bias.abs().max()

    def shape(self, before: Sequence[Shape]) -> Shape:
        for a in (self.gain, self.bias):
            if a.numel() not in (1, before[0][0]):
                raise NetworkError(
                    f"{self.name}: has {a.numel()} channels, but {self.source_name()} gives {before[0][0]}"
                )
        return before[0]

    def sized(self, before: Sequence[Shape]) -> Norm:
        if not before:
            return self
        gain, bias = (a.reshape(-1).expand(before[0][0]) if a.numel() == 1 else a for a in (self.gain, self.bias))
        return replace(self, gain=gain, bias=bias)


@reads(operator.neg, torch.neg, torch.negative, "neg", "negative", arguments=("input",))
def _negative(call: Call) -> None:
    _put(call, call.of, -1.0, 0.0)


@reads(operator.mul, operator.imul, torch.mul, "mul", "mul_", arguments=("input", "other"))
def _product(call: Call) -> None:
    left, right = call.of, call.take("other")
    if call.constant(left) is not None:
        left, right = right, left
    _put(call, left, _constant(call, right), 0.0)


@reads(operator.truediv, operator.itruediv, torch.div, "div", "div_", arguments=("input", "other"))
def _quotient(call: Call) -> None:
    if (mode := call.take("rounding_mode")) is not None:
        call.refuse(f"a division with rounding_mode={mode!r}", "a plain division")
    value = _constant(call, call.take("other"))
    if not bool((value != 0).all()):
        call.refuse("a division by 0", "numbers other than 0")
    _put(call, call.of, 1 / value, 0.0)


def _constant(call: Call, value: Any) -> Tensor:
    found = call.constant(value)
    if found is None:
        call.refuse("a product of two results, or a quotient", "a number or a constant a channel, beside one result")
    return found


def _put(call: Call, of: Any, gain: Tensor | float | None, bias: Tensor | float | None) -> None:
    one, two = (torch.as_tensor(a, dtype=torch.float64).reshape(-1) for a in (gain, bias))
    one, two = torch.broadcast_tensors(one, two)
    call.put(Norm(call.name, (call.layer(of),), one.clone(), two.clone()))
