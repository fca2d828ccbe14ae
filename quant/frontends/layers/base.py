"""What the layers of a float graph have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch
from torch import Tensor

from ...ir.node import Node

__all__ = ["IMAGE", "Currents", "Layer", "Passing", "Shape", "UnsupportedLayer", "refuse"]

IMAGE = ""
"""The image, where the name of a source is asked for."""

Shape = tuple[int, int, int]
"""(C, H, W); a vector is (n, 1, 1)."""


class UnsupportedLayer(ValueError):
    """A part of a model without an integer counterpart; the message names module, rule and what is supported."""


def refuse(name: str, what: str, instead: str) -> NoReturn:
    """Raise UnsupportedLayer."""
    raise UnsupportedLayer(f"{name}: {what} is not supported; supported: {instead}")


@dataclass(frozen=True)
class Layer(ABC):
    """A layer of the graph; ``name`` is the path of the module it came from, ``sources`` are the layers it takes the
    results of, :data:`IMAGE` for the image; ``repeats``, the layer that it computes once more
    (``quant.frontends.repeat``)."""

    name: str
    sources: tuple[str, ...]
    repeats: str = field(default="", kw_only=True)

    @property
    def origin(self) -> str:
        """The name of the layer as the model has it."""
        return self.repeats or self.name

    @abstractmethod
    def value(self, x: Sequence[Tensor]) -> Tensor:
        """What it gives in floats for the results ``x`` of its sources, (N, C, H, W) or (N, n): exactly what the
        model computes, with which it is compared."""

    def shape(self, before: Sequence[Shape]) -> Shape:
        """The shape of its result, of sources with the shapes ``before``. Raises NetworkError, naming it, where these
        do not fit."""
        return before[0]

    def sized(self, before: Sequence[Shape]) -> Layer:
        """The layer with the sizes of the maps that it takes, where it asks for them; ``before`` is empty where they
        are not known. Raises UnsupportedLayer where it cannot do without."""
        return self

    def magnitude(self, x: Sequence[Tensor]) -> Tensor:
        """How large the numbers are that it adds up for ``x``, as a whole or in each channel: what a difference by
        rounding is measured against."""
        return torch.stack([part.abs().max() for part in x]).sum()

    def source_name(self, k: int = 0) -> str:
        """Source ``k`` as a message names it."""
        return self.sources[k] or "the image"


class Currents(Layer):
    """A layer that gives currents: results before their activation, linear in what it takes."""


class Passing(Layer):
    """A layer that integers go through: nothing in it is trained, and it has no threshold.

    With x the integers that it takes and y what :meth:`integers` makes of them, ``unit * x + offset`` in floats becomes
    ``self.unit * y + self.offset``. All methods that train, tune or quantise ask these members and know no kind. Most
    of them have an answer for a layer that only hands on numbers of its one source.
    """

    @property
    def rising(self) -> bool:
        """Whether it gives the largest of several that it takes: the same in front of a rising function and behind."""
        return False

    @property
    def adds(self) -> bool:
        """Whether its values are sums of several that it takes."""
        return False

    @abstractmethod
    def integers(self, x: Sequence[Tensor]) -> Tensor:
        """What it makes of integers (N, ...), those of a time step or sums over time; exact where ``x`` has a type that
        holds :meth:`high`."""

    def trains(self, x: Sequence[Tensor]) -> Tensor:
        """What it makes of trains of spikes (T, N, ...)."""
        return self.integers([part.flatten(0, 1) for part in x]).unflatten(0, x[0].shape[:2])

    def high(self, highs: Sequence[int]) -> int:
        """The largest integer that it gives, of sources up to ``highs``."""
        return max(highs)

    def channels(self, values: Sequence[Tensor], cells: int) -> Tensor:
        """What is said of each channel of its sources, ``values`` (C,) or (), for each channel of its result;
        ``cells`` is H * W of the first source."""
        return values[0]

    def unit(self, units: Sequence[Tensor], cells: int = 1) -> Tensor:
        """What an integer of 1 is worth behind it."""
        return self.channels(units, cells)

    def offset(self, offsets: Sequence[Tensor], cells: int = 1) -> Tensor:
        """What 0 stands for behind it, where it stands for ``offsets`` before it."""
        return self.channels(offsets, cells)

    @abstractmethod
    def node(self, fields: dict[str, Any]) -> Node:
        """The node of the integer network; ``fields`` has its name and its sources."""
