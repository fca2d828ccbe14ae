"""The residual merge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..bounds import text
from ..node import Node
from ..reach.branches import Branches
from ..reach.node import NodeReach, Place
from ..signal import Signal
from ..span import Span

__all__ = ["Add"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Node):
    """The residual merge: I = I(source) + I(other), currents of the same shape, every time step; currents that do not
    change over time are there in every step. It is linear."""

    takes: ClassVar = ("currents",)
    passes_sums: ClassVar = True
    remedy: ClassVar = "; an identity shortcut is a Gain node"

    other: str

    def __post_init__(self) -> None:
        super().__post_init__()
        text(self.name, "other", self.other)
        if self.source == self.other:
            self._fail(f"adds {self.source} to itself; source and other must be two nodes")

    @classmethod
    def sources_of(cls, values: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of both nodes whose currents it adds."""
        return (values.get("source", ""), values["other"])

    def _signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        one, other = sources
        if one.shape != other.shape:
            self._fail(f"adds shapes {one.shape} ({self.source}) and {other.shape} ({self.other})")
        return Signal("currents", one.shape, one.timed or other.timed, one.low + other.low, one.high + other.high)

    def reference(self, x: Sequence[np.ndarray], timed: Sequence[bool], steps: int) -> np.ndarray:
        """The sum, of which a term that does not change is added in every step."""
        one, other = (v if t or not any(timed) else v[:, None] for v, t in zip(x, timed, strict=True))
        return one + other

    def span(self, spans: Sequence[Span], sources: Sequence[Signal], steps: int) -> Span:
        """The sums of the ends."""
        one, other = spans
        assert one.step is not None and other.step is not None  # both are currents
        return Span(one.low + other.low, one.high + other.high, np.gcd(one.step, other.step))

    def reach(self, place: Place) -> NodeReach:
        """Each addend, 0 and other than 0."""
        return _AddReach(self, place)


class _AddReach(NodeReach):
    """Branches ``addends`` (2 * 2, C): the first addend 0, other than 0, and the second."""

    def __init__(self, node: Add, place: Place) -> None:
        super().__init__(place)
        self._names = node.sources
        ends = [span.always for span in place.spans]
        can = np.stack([x for a, b in ends for x in ((a <= 0) & (b >= 0), (a < 0) | (b > 0))])
        self.branches["addends"] = Branches.of(can)

    def observe(self, inputs: Sequence[np.ndarray], result: np.ndarray) -> None:
        branches = self.branches["addends"]
        if branches.done:
            return
        for k, x in enumerate(inputs):
            zero = x == 0
            axes = (0, *range(1, x.ndim - 3), x.ndim - 2, x.ndim - 1)
            branches.seen[2 * k] |= zero.any(axes)
            branches.seen[2 * k + 1] |= ~zero.all(axes)

    def texts(self, kind: str) -> list[str]:
        rows = [f"{name} {what} 0" for name in self._names for what in ("was never", "was always")]
        return [f"{what} in {n} channels" for what, n in self.branches[kind].rows(rows)]
