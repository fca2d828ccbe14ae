"""Input: the pixels."""

from __future__ import annotations

from torch import Tensor

from ..ir.ops import Input
from .registry import Inputs, kernel


@kernel(Input)
def _input(_node: Input, inputs: Inputs) -> Tensor:
    return inputs.x[0]
