"""Weight memories of any size packed, so that small designs have packed ones."""

from __future__ import annotations

import pytest

from spikeloom.hdl.cores.synapse import memory_parts
from spikeloom.hdl.memory.packed import Packing

__all__ = ["pack_all"]


def pack_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a form for the memories of more than one word, its period by their size."""
    monkeypatch.setattr(memory_parts, "packing", _packing)


def _packing(depth: int, width: int) -> Packing | None:
    period = 2 + (depth + width) % 4
    return Packing(period, -(-width // (period - 1)), 0) if depth > 1 else None
