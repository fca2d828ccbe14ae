"""What all nodes of the integer network have in common."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .bounds import MOST_STRIDE, NetworkError, integer, integers, text

__all__ = ["IMPLICIT", "Node"]

IMPLICIT = {"implicit": True}
"""Marks a field that files and hashes leave out at its default, so that those from before it came stay valid."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """A node of the graph. ``source`` names the node whose result it takes (empty for :class:`Input`)."""

    name: str
    source: str = ""

    def __post_init__(self) -> None:
        text("A node", "its name", self.name)
        text(self.name, "source", self.source)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of all nodes whose results it takes."""
        return (self.source,) if self.source else ()

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in pairs)

    __hash__ = None  # type: ignore[assignment]

    def arrays(self) -> dict[str, np.ndarray]:
        """The integer arrays of the node by field name."""
        return {f.name: v for f in fields(self) if isinstance(v := getattr(self, f.name), np.ndarray)}

    def settings(self) -> dict[str, Any]:
        """The fields that are not arrays, as JSON values."""
        return {
            f.name: list(v) if isinstance(v, tuple) else v
            for f in fields(self)
            if not isinstance(v := getattr(self, f.name), np.ndarray)
            and not (f.metadata == IMPLICIT and v == f.default)
        }

    def _arrays(self, *keys: str) -> None:
        """Make integer arrays of these fields, or refuse them."""
        for key in keys:
            object.__setattr__(self, key, integers(self.name, key, getattr(self, key)))

    def _integers(self, *keys: str) -> None:
        """Make Python integers of these fields, or refuse them."""
        for key in keys:
            object.__setattr__(self, key, integer(self.name, key, getattr(self, key)))

    def _move(self) -> None:
        """Check the field ``stride``."""
        stride = getattr(self, "stride", 1)
        if stride < 1:
            self._fail(f"stride must be a positive integer, not {stride}")
        if stride > MOST_STRIDE:
            self._fail(f"stride must be at most {MOST_STRIDE:,}, not {stride:,}")

    def _fail(self, text: str) -> None:
        raise NetworkError(f"{self.name}: {text}")
