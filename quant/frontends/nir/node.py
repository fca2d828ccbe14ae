"""A node of a NIR graph: its fields, each of which is read or refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from ..layers import refuse

__all__ = ["NirNode"]

UNSAID = ("type", "metadata", "input_type", "output_type")
"""Fields that say nothing that others do not: a graph says again what goes in and out."""


@dataclass
class NirNode:
    """A node ``name`` of the type ``kind``, with its ``fields``, arrays and texts, and its ``metadata``."""

    name: str
    kind: str
    fields: dict[str, Any]
    metadata: dict[str, Any]
    _read: set[str] = field(default_factory=set)

    def has(self, key: str) -> bool:
        """Whether there is a field ``key``."""
        return key in self.fields

    def text(self, key: str) -> str | None:
        """A field that may be a text, where it is one."""
        self._read.add(key)
        found = self.fields.get(key)
        return found if isinstance(found, str) else None

    def numbers(self, key: str) -> np.ndarray:
        """The field ``key`` in double floats. Raises UnsupportedLayer where it is missing, or no finite numbers."""
        self._read.add(key)
        if key not in self.fields:
            self.refuse(f"without {key}", f"{self.kind} with {key}, as the package nir writes it")
        return self.finite(key, self.fields[key])

    def finite(self, key: str, value: Any) -> np.ndarray:
        """``value``, which is called ``key``, in double floats. Raises UnsupportedLayer for others."""
        array = np.asarray(value)
        if array.dtype.kind not in "iufb" or not np.isfinite(array.astype(np.float64)).all():
            self.refuse(f"with {key} of {array.dtype}, or not finite", "finite numbers")
        return array.astype(np.float64)

    def whole(self, key: str, count: int) -> tuple[int, ...]:
        """The field ``key``, ``count`` whole numbers, of which one may stand for all."""
        array = self.numbers(key).reshape(-1)
        if array.size not in (1, count) or (array != np.rint(array)).any() or np.abs(array).max() > 1 << 24:
            self.refuse(f"with {key}={array.tolist()!r:.60}", f"{count} whole numbers, or one")
        return tuple(int(n) for n in np.broadcast_to(array, (count,)))

    def said(self, key: str, known: tuple[str, ...]) -> str | None:
        """What the metadata say under ``key``, one of ``known``; None where nothing. Raises UnsupportedLayer for
        anything else."""
        if key not in self.metadata:
            return None
        found = self.metadata[key]
        if not isinstance(found, str) or found not in known:
            self.refuse(f"with the metadata {key}={found!r:.60}", " or ".join(map(repr, known)))
        return found

    def said_number(self, key: str) -> int | None:
        """The whole number that the metadata have under ``key``, None where there is none."""
        if key not in self.metadata:
            return None
        found = self.finite(key, self.metadata[key])
        if found.size != 1 or found != np.rint(found):
            self.refuse(f"with the metadata {key}={found.tolist()!r:.60}", "one whole number")
        return int(found.item())

    def all_read(self) -> None:
        """Raise UnsupportedLayer for a field that nothing asked for."""
        if left := sorted(set(self.fields) - self._read - set(UNSAID)):
            self.refuse(f"with a field {left[0]}", f"{self.kind} as the package nir writes it")

    def refuse(self, what: str, instead: str) -> NoReturn:
        """Raise UnsupportedLayer."""
        refuse(self.name, f"{self.kind} {what}".rstrip(), instead)
