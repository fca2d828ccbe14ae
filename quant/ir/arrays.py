"""Arrays of a network file that are read one by one, each when it is known to be what its node needs."""

from __future__ import annotations

import functools
from dataclasses import fields
from typing import Any

import numpy as np

from .bounds import NetworkError
from .node import Node
from .signal import Signal

__all__ = ["Arrays", "array_fields", "check_shapes", "left_out"]

INTEGERS = frozenset({"I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64"})
"""Types of arrays in files."""


class Arrays:
    """The arrays of an open safetensors ``file``, which are there as ``<node>/<field>``. Attribute: ``names``."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.names = dict.fromkeys(file.keys())

    def shape(self, node: str, field: str) -> tuple[int, ...]:
        """The shape of an array, from the header alone. Raises NetworkError where it holds no integers."""
        part = self._file.get_slice(f"{node}/{field}")
        if (kind := str(part.get_dtype())) not in INTEGERS:
            raise NetworkError(f"{node}: {field} must be integers ({', '.join(sorted(INTEGERS))}), not {kind}")
        return tuple(part.get_shape())

    def read(self, node: str, field: str) -> np.ndarray:
        """An array."""
        return self._file.get_tensor(f"{node}/{field}")


@functools.cache
def array_fields(kind: type[Node]) -> tuple[str, ...]:
    """The fields of a node type that are arrays."""
    return tuple(f.name for f in fields(kind) if f.type in ("np.ndarray", "np.ndarray | None"))


@functools.cache
def left_out(kind: type[Node]) -> frozenset[str]:
    """Those of them that a node need not have, and a file then leaves out."""
    return frozenset(f.name for f in fields(kind) if f.type == "np.ndarray | None")


def check_shapes(
    kind: type[Node], entry: dict[str, Any], shapes: dict[str, tuple[int, ...]], sources: list[Signal]
) -> None:
    """Refuse ``shapes`` of arrays, by field, that no node of this ``kind`` with the other fields of ``entry`` has
    behind ``sources``. The node and the network check them again, and all else; here it is before anything is read."""
    if not shapes:
        return
    name = entry["name"]
    if len(sources) != 1:
        raise NetworkError(f"{name}: {kind.__name__} takes one source, not {len(sources)}")
    c, h, w = sources[0].shape
    for field, shape in shapes.items():
        fits, want = kind.array_shape(field, shape, entry, (c, h, w))
        if not fits:
            raise NetworkError(
                f"{name}: {field} has shape {shape}, but behind {entry['source']}, which gives {c}x{h}x{w}, it must be "
                f"{want}"
            )
