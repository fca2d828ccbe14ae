"""What operators take: tensors that depend on the image, and sums of two of them that a quantiser waits for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..step import Step
from .numbers import Numbers, Part, Rise
from .quantisers import Quantised

__all__ = ["Pending", "taken"]


@dataclass(frozen=True)
class Pending:
    """The sum that ``step`` makes of ``one`` and an ``other`` tensor of 8 bits, constants (C,) among them, of
    ``shape``, with ``rises`` behind it: only the quantiser behind it says what integers are to be added."""

    step: Step
    one: Numbers
    other: Numbers | Quantised
    shape: tuple[int, ...]
    rises: tuple[Rise, ...] = field(default=())

    def behind(self, op: str, *constants: Any) -> Pending:
        """What a clamp makes of it."""
        rise = Rise(op, tuple(np.asarray(c, np.float32) for c in constants))
        return replace(self, rises=(*self.rises, rise))


def taken(step: Step, x: Any, *, whole: bool = False, part: bool = False) -> Numbers:
    """``x`` as numbers of the image; ``whole``, whether they may be integers of 8 bits, which others must be, ``part``,
    whether they may be a part of a map. Raises UnsupportedLayer."""
    if isinstance(x, Pending):
        step.refuse(f"of the sum {x.step.name}, which nothing quantises", "QuantizeLinear directly behind an Add")
    if not isinstance(x, Numbers):
        step.refuse("of a constant", "the tensor of an image as its first input")
    if x.whole and not whole:
        step.refuse("of integers", "floats, DequantizeLinear before it")
    if x.part != Part() and not part:
        step.refuse("of every so manyth pixel, or of channels of zeros", "those as a branch of an Add")
    return x
