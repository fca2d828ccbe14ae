"""What the reader of floats knows of a tensor, and what gives its layers to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...layers import Layer
from ..graph import Graph
from ..step import Step

__all__ = ["Handler", "Made", "Puts"]


@dataclass(frozen=True)
class Made:
    """The tensor of ``shape`` that the layer ``name`` gives, of which ``part`` says that every so manyth row and column
    is left: (1, 1), all of them, but between two operators that take rows and columns one after the other."""

    name: str
    shape: tuple[int, ...]
    part: tuple[int, int] = (1, 1)


class Puts(Protocol):
    """What handlers ask of the reader."""

    @property
    def graph(self) -> Graph:
        """The graph that is read."""
        ...

    @property
    def layers(self) -> dict[str, Layer]:
        """Those that were made, by name."""
        ...

    def plain(self, step: Step, x: Any) -> Made:
        """``x`` as a whole tensor of the image. Raises UnsupportedLayer for a constant or a part."""
        ...

    def put(self, layer: Layer, shape: Sequence[int]) -> Made:
        """Take in a layer, under another name where its own is taken."""
        ...

    def same(self, step: Step, x: Made) -> Made:
        """``x``, under another name too."""
        ...

    def reshaped(self, step: Step, x: Sequence[Any]) -> tuple[int, ...]:
        """The shape that Reshape, Flatten, Squeeze or Unsqueeze gives."""
        ...

    def alone(self, step: Step, k: int = 0) -> bool:
        """Whether ``step`` alone takes its input ``k``."""
        ...


Handler = Callable[[Puts, Step, Sequence[Any]], Any]
"""Called with the reader, the operator and what it takes; gives :class:`Made`, or a list where there are several."""
