"""A map as a vector."""

from __future__ import annotations

from dataclasses import dataclass

from ..node import Node

__all__ = ["Flatten"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Flatten(Node):
    """(C, H, W) to (C*H*W, 1, 1) in the order C, H, W."""
