"""What the layers with weights have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from ..node import Node, multiplied
from ..reach.branches import Branches
from ..reach.node import NodeReach, Place
from ..reach.window import edges, taps, zero_windows
from ..signal import Signal
from ..span import Span
from ..windows import Windows

__all__ = ["Synapse", "product"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Synapse(Node, ABC):
    """Common part of the layers with weights: integers of ``weight_bits`` (2..8) bits, two's complement, or of one bit,
    which is -1 or +1. All are linear."""

    passes_sums: ClassVar = True

    weight: np.ndarray
    weight_bits: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._arrays("weight")
        self._integers("weight_bits")
        if not 1 <= self.weight_bits <= 8:
            self._fail(f"weight_bits must be in 1..8, not {self.weight_bits}")
        low, high = -(1 << (self.weight_bits - 1)), (1 << (self.weight_bits - 1)) - 1
        if not self.weight.size:
            self._fail("weight is empty")
        if self.weight_bits == 1:
            if (others := self.weight[np.abs(self.weight) != 1]).size:
                self._fail(
                    f"weights of one bit must be -1 or +1, found {others[0]} ({others.size} such weights); choose "
                    "weight_bits=2 or more"
                )
            return
        if self.weight.min() < low or self.weight.max() > high:
            self._fail(
                f"weights must be in {low}..{high} ({self.weight_bits} bits), "
                f"found {self.weight.min()}..{self.weight.max()}"
            )

    @property
    def windows(self) -> Windows:
        """The windows from which it computes one output pixel each."""
        return Windows((1, 1))

    @property
    def around(self) -> np.ndarray | None:
        """What its windows see around the map, a value for each input channel (C,); None for zeros."""
        return None

    @abstractmethod
    def _check_inputs(self, source: Signal) -> None:
        """Refuse a source that its weights do not fit."""

    def _signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        source = sources[0]
        self._check_inputs(source)
        shape = (len(self.weight), *self.windows.places(source.shape[1:]))
        return Signal("currents", shape, source.timed, *self._range(source))

    def span(self, spans: Sequence[Span], sources: Sequence[Signal], steps: int) -> Span:
        """By the sums of the positive and of the negative weights of each input channel."""
        taps = self.weight.reshape(*self.weight.shape[:2], -1)
        groups = sources[0].shape[0] // taps.shape[1]
        positive, negative = (
            part.sum(2).reshape(groups, -1, taps.shape[1]) for part in (np.maximum(taps, 0), np.minimum(taps, 0))
        )
        low, high = spans[0].always
        low, high = (x.reshape(groups, -1, 1) for x in (np.minimum(low, 0), np.maximum(high, 0)))  # 0: zero padding
        lowest, highest = positive @ low + negative @ high, positive @ high + negative @ low
        return Span(lowest.reshape(1, -1), highest.reshape(1, -1), np.gcd.reduce(taps.reshape(len(taps), -1), axis=1))

    def fan_out(self, shape: tuple[int, int, int]) -> np.ndarray:
        """Synapses (C, H, W) that each element of a source of ``shape`` reaches; there are none on padding, whatever
        stands there: it is a constant."""
        outputs = len(self.weight) * self.weight.shape[1] // shape[0]
        return np.broadcast_to(outputs * self.windows.times_read(shape[1:]), shape)

    def scaled(self, factor: np.ndarray, bits: int | None = None) -> Self:
        """The node with weights that are ``factor`` (Co,) times these, rounded, ``bits`` wide or as wide as these."""
        return replace(self, weight=multiplied(self.weight, factor), weight_bits=bits or self.weight_bits)

    def reach(self, place: Place) -> NodeReach:
        """Every weight with an input other than 0, every edge with a window that reaches over it."""
        return _SynapseReach(self, place)

    def _range(self, source: Signal) -> tuple[int, int]:
        """Lowest and highest current of any output over all inputs (and all partial sums)."""
        w = self.weight.reshape(self.weight.shape[0], -1)
        sums = list(zip(np.maximum(w, 0).sum(1).tolist(), np.minimum(w, 0).sum(1).tolist(), strict=True))
        low, high = min(source.low, 0), max(source.high, 0)
        return min(pos * low + neg * high for pos, neg in sums), max(pos * high + neg * low for pos, neg in sums)


class _SynapseReach(NodeReach):
    """Branches ``inputs`` (Ky * Kx, C of the source), whether a weight met an input other than 0; ``padding`` (4, 1),
    whether a window that reaches over the edge held one: top, bottom, left, right. All-zero windows are counted."""

    def __init__(self, node: Synapse, place: Place) -> None:
        super().__init__(place)
        self._windows, self._pad = node.windows, node.around
        low, high = place.spans[0].always
        active = np.broadcast_to(((low < 0) | (high > 0))[:, None, None], place.sources[0].shape)
        self.branches["inputs"] = Branches.of(taps(node.windows, active, self._pad))
        if node.windows.padded:
            self.branches["padding"] = Branches.of(edges(node.windows, active, self._pad))

    def observe(self, inputs: Sequence[np.ndarray], result: np.ndarray) -> None:
        zero, windows = zero_windows(self._windows, inputs[0], self.place.signal.shape, self._pad)
        self.windows = self.windows[0] + zero, self.windows[1] + windows

    def meet(self, active: Sequence[np.ndarray]) -> None:
        for kind, met in (("inputs", taps), ("padding", edges)):
            if kind in self.branches and not self.branches[kind].done:
                self.branches[kind].seen |= met(self._windows, active[0], self._pad)

    def texts(self, kind: str) -> list[str]:
        branches = self.branches[kind]
        if kind == "inputs":
            return [f"{branches.part} inputs were always 0 where a weight takes them, so it is not tested"]
        sides = ", ".join(name for name, _ in branches.rows(("top", "bottom", "left", "right")))
        return [f"no window that reaches over the edge held anything but 0: {sides}"]


def product(rows: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """``rows`` (n, inputs) times ``weight`` (outputs, inputs): (n, outputs). It runs in float64 as long as no partial
    sum can reach 2**53, where every order of additions is exact, and in int64 beyond."""
    most = int(np.abs(weight).sum(1).max(initial=0)) * max(int(rows.max(initial=0)), -int(rows.min(initial=0)))
    if most >= 1 << 53:
        return rows @ weight.T.astype(np.int64)
    return (rows.astype(np.float64) @ weight.T.astype(np.float64)).astype(np.int64)
