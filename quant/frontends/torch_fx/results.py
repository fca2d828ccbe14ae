"""What a model returns, taken apart: tensors, or tuples, lists and dicts of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["joined", "named"]


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
