"""What the pools have in common."""

from __future__ import annotations

from dataclasses import dataclass

from ..node import Node

__all__ = ["Pool"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool(Node):
    """Common part of the pools: square windows of ``kernel``, moved by ``stride``, without padding (floor size)."""

    kernel: int
    stride: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._integers("kernel", "stride")
        if self.kernel < 1 or self.stride < 1:
            self._fail(f"kernel and stride must be positive integers, not {self.kernel} and {self.stride}")
        self._move()
