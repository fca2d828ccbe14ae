"""The sum of two branches."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...ir.ops import NetworkError
from ..torch_fx.registry import reads
from .base import Currents, Shape
from .norm import Norm

if TYPE_CHECKING:
    from ..torch_fx.call import Call

__all__ = ["Sum"]


class Sum(Currents):
    """The sum of two branches, each a :class:`Weights`, a :class:`Shortcut` or another sum."""

    def value(self, x: Sequence[Tensor]) -> Tensor:
        return torch.stack(tuple(x)).sum(0)

    def shape(self, before: Sequence[Shape]) -> Shape:
        for k, other in enumerate(before):
            if other != before[0]:
                raise NetworkError(
                    f"{self.name}: adds shapes {before[0]} ({self.source_name()}) and {other} ({self.source_name(k)})"
                )
        return before[0]


@reads(operator.add, operator.iadd, torch.add, "add", "add_", arguments=("input", "other"))
def _sum(call: Call) -> None:
    if (alpha := call.take("alpha", 1)) != 1:
        call.refuse(f"a sum with alpha={alpha}", "a plain sum")
    terms = call.of, call.take("other")
    for term, other in (terms, terms[::-1]):
        if (bias := call.constant(term)) is not None:
            return _affine(call, call.layer(other), 1.0, bias)
    return call.put(Sum(call.name, tuple(call.layer(term) for term in terms)))


@reads(operator.sub, operator.isub, torch.sub, torch.subtract, "sub", "sub_", arguments=("input", "other"))
def _difference(call: Call) -> None:
    if (alpha := call.take("alpha", 1)) != 1:
        call.refuse(f"a difference with alpha={alpha}", "a plain difference")
    left, right = call.of, call.take("other")
    if (bias := call.constant(left)) is not None:
        return _affine(call, call.layer(right), -1.0, bias)
    if (bias := call.constant(right)) is not None:
        return _affine(call, call.layer(left), 1.0, -bias)
    _affine(call, call.layer(right), -1.0, torch.zeros(1, dtype=torch.float64), f"{call.name} negative")
    return call.put(Sum(call.name, (call.layer(left), call.result)))


def _affine(call: Call, source: str, gain: float, bias: Tensor, name: str = "") -> None:
    """gain * x + bias, of a constant ``bias`` (1,) or (C,)."""
    factor = torch.full((bias.numel(),), gain, dtype=torch.float64)
    call.put(Norm(name or call.name, (source,), factor, bias))
