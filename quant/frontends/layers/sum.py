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
            one = torch.ones(1, dtype=torch.float64)
            call.put(Norm(call.name, (call.layer(other),), one.expand(bias.numel()).clone(), bias))
            return
    call.put(Sum(call.name, tuple(call.layer(term) for term in terms)))
