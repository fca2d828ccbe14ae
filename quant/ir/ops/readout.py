"""The answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..bases.output import Output
from ..node import multiplied
from ..reach.branches import Branches
from ..reach.node import NodeReach, Place
from ..signal import Signal

__all__ = ["Readout"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Readout(Output):
    """logits[c] = sum_t I_t[c] + bias[c]; class = argmax, the lowest index on ties.

    Where the source is constant over time (values, T = 1) the sum has one term. ``bias`` has shape (C,) and is
    added once, not every time step.
    """

    @property
    def _each(self) -> str:
        return "a class"

    def _signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        low, high = self._totals(sources[0], steps)
        self._check_vector(sources[0])
        return Signal("logits", sources[0].shape, False, low, high)

    def reference(self, x: Sequence[np.ndarray], timed: Sequence[bool], steps: int) -> np.ndarray:
        """The logits (N, C)."""
        currents = self._summed(x, timed)
        return currents.reshape(len(currents), -1) + self.bias

    def scalable(self, factor: np.ndarray) -> np.ndarray:
        """Factors (C,) up to ``factor`` by which its currents may be multiplied: one for all classes."""
        return np.full_like(factor, factor.min())

    def scaled(self, factor: np.ndarray) -> Readout:
        """The node behind currents that are ``factor`` (C,) times what they were, rounded."""
        return replace(self, bias=multiplied(self.bias, factor))

    def reach(self, place: Place) -> NodeReach:
        """The answers, and the comparisons that lead to them."""
        return _ReadoutReach(place)


class _ReadoutReach(NodeReach):
    """Branches ``answers`` (1, C), classes that were the answer; ``comparisons`` (2, C - 1), of every logit with the
    best before it: not higher, and higher. Noted: ``ties`` (1, C - 1), both the same."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        low, high = place.span.low[0], place.span.high[0]
        below, above = np.maximum.accumulate(low)[:-1], np.maximum.accumulate(high)[:-1]
        # A class can be the answer where none before it is at least as high for sure, none behind it higher.
        can = [
            all(high[c] > low[k] for k in range(c)) and all(high[c] >= low[k] for k in range(c + 1, len(low)))
            for c in range(len(low))
        ]
        self.branches["answers"] = Branches.of(np.array([can]))
        self.branches["comparisons"] = Branches.of(np.stack([low[1:] <= above, high[1:] > below]))
        self.branches["ties"] = Branches.of(((low[1:] <= above) & (high[1:] >= below))[None], "noted")

    def observe(self, inputs: Sequence[np.ndarray], result: np.ndarray) -> None:
        self.branches["answers"].seen[0, np.unique(result.argmax(1))] = True
        best = np.maximum.accumulate(result, axis=1)[:, :-1]
        wins, ties = (result[:, 1:] > best).any(0), (result[:, 1:] == best).any(0)
        self.branches["comparisons"].seen |= np.stack([(result[:, 1:] <= best).any(0), wins])
        self.branches["ties"].seen |= ties

    def texts(self, kind: str) -> list[str]:
        part = self.branches[kind].part
        if kind == "answers":
            return [f"{part} classes were never the answer"]
        return [f"{part} comparisons of logits went one way only"]
