"""The residual merge."""

from __future__ import annotations

from dataclasses import dataclass

from ..bounds import text
from ..node import Node

__all__ = ["Add"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Node):
    """The residual merge: I = I(source) + I(other), currents of the same shape, every time step; currents that do not
    change over time are there in every step."""

    other: str

    def __post_init__(self) -> None:
        super().__post_init__()
        text(self.name, "other", self.other)
        if self.source == self.other:
            self._fail(f"adds {self.source} to itself; source and other must be two nodes")

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of both nodes whose currents it adds."""
        return (self.source, self.other)
