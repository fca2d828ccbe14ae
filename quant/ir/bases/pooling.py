"""What the pools have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..node import IMPLICIT, Node
from ..signal import Signal
from ..windows import Pair, Sides, Windows, each_side, each_way

__all__ = ["Pooling"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pooling(Node, ABC):
    """Common part of the pools: windows of ``kernel``, moved by ``stride``, (rows, columns) or a number for both, in a
    map with ``padding`` cells of 0 on all sides or at (top, bottom, left, right). What fills no window is left out, and
    what becomes of time is the matter of each of them."""

    kernel: Pair
    stride: Pair
    padding: Sides = field(default=0, metadata=IMPLICIT)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._pairs("kernel", "stride")
        self._sides("padding")
        if min(*each_way(self.kernel), *each_way(self.stride)) < 1:
            self._fail(f"kernel and stride must be positive integers, not {self.kernel} and {self.stride}")
        self._check_steps("stride")
        self._check_padding(self.windows)

    @property
    def windows(self) -> Windows:
        """The windows that it makes one value of each."""
        return Windows(each_way(self.kernel), each_way(self.stride), each_side(self.padding))

    @property
    def area(self) -> int:
        """Cells of a window."""
        rows, columns = each_way(self.kernel)
        return rows * columns

    @abstractmethod
    def _signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        """What its windows give."""

    def _pooled(self, source: Signal) -> tuple[int, int, int]:
        """The shape of the result."""
        self.windows.check(self.name, source.shape)
        return (source.shape[0], *self.windows.places(source.shape[1:]))
