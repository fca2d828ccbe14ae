"""The quantiser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ..bounds import within
from ..node import Node, Tested, by_channel, multiplied
from ..reach.branches import Branches
from ..reach.node import NodeReach, Place
from ..signal import Signal
from ..span import Span, between

__all__ = ["Requant"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Requant(Node):
    """Shift-based batch norm and quantiser (IntegerNet): y[c] = clamp((a[c] - bias[c]) >> shift[c], lo, hi).

    ``>>`` is the arithmetic shift (floor); a negative shift is a shift to the left. Arrays have shape (C,).
    """

    takes: ClassVar = ("currents",)
    activation: ClassVar = True

    bias: np.ndarray
    shift: np.ndarray
    lo: int
    hi: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._arrays("bias", "shift")
        self._integers("lo", "hi")
        if self.bias.shape != self.shift.shape or self.bias.ndim != 1 or not self.bias.size:
            self._fail(
                f"bias and shift must have one value a channel, not shapes {self.bias.shape}, {self.shift.shape}"
            )
        if (bad := np.flatnonzero((self.shift < -8) | (self.shift > 30))).size:
            self._fail(f"shift of channel {bad[0]} is {self.shift[bad[0]]}; supported: -8..30")
        if not (-128 <= self.lo <= 0 < self.hi <= 255 and (self.lo == 0 or self.hi <= 127)):
            self._fail(
                f"output range must be 0..hi with hi <= 255, or lo..hi within -128..127, not {self.lo}..{self.hi}"
            )

    def _signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        source = sources[0]
        self._check_channels(self.bias, source)
        if source.timed or steps != 1:
            self._fail(
                f"Requant works on values with T = 1, but here the currents of {self.source} meet T = {steps}; use IF "
                "neurons, or a network with steps = 1"
            )
        return Signal("values", source.shape, False, self.lo, self.hi)

    def _check_inside(self, source: Signal, steps: int) -> None:
        # In 64 bits: a network's numbers are up to 2^48, and a shift to the left has at most 8 places.
        current = max(-source.low, source.high)
        reach = (current + np.abs(self.bias)) << np.maximum(-self.shift, 0)
        worst = int(reach.argmax())
        within(self.name, f"what it shifts to the left, |I| + |bias|, in channel {worst}", 0, int(reach[worst]))

    def reference_step(self, x: np.ndarray) -> np.ndarray:
        """Shifted and clamped."""
        return np.moveaxis(np.clip(self.shifted(np.moveaxis(x, 1, -1)), self.lo, self.hi), -1, 1)

    def shifted(self, currents: np.ndarray) -> np.ndarray:
        """(I - bias) >> shift of ``currents`` (..., C)."""
        x = currents - self.bias
        return (x << np.maximum(-self.shift, 0)) >> np.maximum(self.shift, 0)

    def span(self, spans: Sequence[Span], sources: Sequence[Signal], steps: int) -> Span:
        """The ends, shifted and clamped."""
        low, high = (np.clip(self.shifted(end), self.lo, self.hi) for end in spans[0][:2])
        return Span(low, high)

    def tested(self, current: np.ndarray, result: np.ndarray, steps: int) -> Tested:
        """What it shifts, in steps of its result."""
        x = current.astype(np.int64) - by_channel(self.bias)
        x <<= by_channel(np.maximum(-self.shift, 0))
        unit = np.int64(1) << np.maximum(self.shift, 0)
        return Tested(x[:, None], unit, "before the quantiser, in its levels", self.hi + 1, "above the highest level")

    def scalable(self, factor: np.ndarray) -> np.ndarray:
        """Factors (C,) up to ``factor`` by which its currents may be multiplied: powers of two, for it shifts."""
        return np.exp2(np.floor(np.log2(factor)))

    def scaled(self, factor: np.ndarray) -> Requant:
        """The node behind currents that are ``factor`` (C,) times what they were, rounded."""
        shift = self.shift + np.rint(np.log2(factor)).astype(self.shift.dtype)
        return replace(self, bias=multiplied(self.bias, factor), shift=shift)

    def reach(self, place: Place) -> NodeReach:
        """Both clamps, and every bias moved by one."""
        return _RequantReach(self, place)


class _RequantReach(NodeReach):
    """Branches ``clamps`` (3, C): below the range, inside, above it. Constants ``biases`` (2, C): whether one higher,
    and lower, by one changes a value."""

    def __init__(self, node: Requant, place: Place) -> None:
        super().__init__(place, valued=True)
        self._node = node
        source = place.spans[0]
        ends = [node.shifted(end[0]) for end in (source.low, source.high)]
        parts = np.stack([ends[0] < node.lo, (ends[0] <= node.hi) & (ends[1] >= node.lo), ends[1] > node.hi])
        self.branches["clamps"] = Branches.of(parts)
        # x = I - bias. To the right, x and x - 1 give two values where x = q << shift with lo < q <= hi, and x and
        # x + 1 where x + 1 is one of those. To the left, where neither both of them are clamped below nor both above.
        low, high = (end[0] - node.bias for end in (source.low, source.high))
        wide, left = np.int64(1) << np.maximum(node.shift, 0), np.int64(1) << np.maximum(-node.shift, 0)
        moves = []
        for more in (0, 1):
            first = np.maximum(node.lo + 1, -(-(low + more) // wide))
            right = first <= np.minimum(node.hi, (high + more) // wide)
            start, end = node.lo // left + 1 - more, -(-node.hi // left) - more
            moves.append(np.where(node.shift > 0, right, between(low, high, start, end)))
        self.branches["biases"] = Branches.of(np.stack(moves), "moved")

    def observe(self, inputs: Sequence[np.ndarray], result: np.ndarray) -> None:
        node, branches = self._node, self.branches
        if branches["clamps"].done and branches["biases"].done:
            return
        left, right = (np.maximum(x, 0)[:, None, None] for x in (-node.shift, node.shift))
        x = inputs[0].astype(np.int64) - node.bias[:, None, None]
        y = (x << left) >> right
        parts = branches["clamps"].seen
        for k, part in enumerate((y < node.lo, (y >= node.lo) & (y <= node.hi), y > node.hi)):
            parts[k] |= part.any((0, 2, 3))
        y = y.clip(node.lo, node.hi)
        for k, move in enumerate((-1, 1)):  # a higher bias takes more off
            moved = (((x + move) << left) >> right).clip(node.lo, node.hi)
            branches["biases"].seen[k] |= (moved != y).any((0, 2, 3))

    def texts(self, kind: str) -> list[str]:
        if kind == "biases":
            return self.moved(kind, "bias")
        lo, hi = self._node.lo, self._node.hi
        parts = f"below {lo}, where they are clamped", f"inside {lo}..{hi}", f"above {hi}, where they are clamped"
        return [f"{n} channels were never {part}" for part, n in self.branches[kind].rows(parts)]
