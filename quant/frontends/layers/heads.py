"""Several results of a model, or one that is a map: what a network gives as maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .base import Layer, Shape

__all__ = ["Heads", "joined", "named"]


@dataclass(frozen=True)
class Heads(Layer):
    """The last layer of a model that gives maps: ``outputs``, what its user calls them, one for each of its sources. It
    computes nothing; as one number after the other its results are compared."""

    outputs: tuple[str, ...] = ()

    def value(self, x: Sequence[Tensor]) -> Tensor:
        return torch.cat([part.flatten(1) for part in x], 1)

    def shape(self, before: Sequence[Shape]) -> Shape:
        return sum(c * h * w for c, h, w in before), 1, 1

    @property
    def names(self) -> dict[str, str]:
        """The name of the output by the layer that gives it."""
        return dict(zip(self.sources, self.outputs, strict=True))


def named(result: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The parts of a model's ``result``, tuples, lists and dicts of such, with their names: the keys of dicts and of
    named tuples, "" for a part that has none, joined by dots."""
    if isinstance(result, Mapping):
        pairs = [(str(key), part) for key, part in result.items()]
    elif isinstance(result, tuple | list):
        fields = getattr(result, "_fields", None)
        pairs = list(zip(fields or [""] * len(result), result, strict=True))
    else:
        yield path, result
        return
    for key, part in pairs:
        yield from named(part, ".".join(filter(None, (path, key))))


def joined(result: Any) -> Any:
    """A model's ``result``, its parts (N, ...) side by side (N, n) where it has several; what is no tensor as it is."""
    parts = [part for _, part in named(result)]
    if isinstance(result, Tensor) or not parts or not all(isinstance(part, Tensor) for part in parts):
        return result
    return torch.cat([part.flatten(1) for part in parts], 1)
