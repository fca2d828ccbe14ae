"""What a stage needs of the cores that its words go through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from amaranth import Module
from amaranth.lib import stream

from ..cost.parts import Parts
from ..streams.words import WordFormat

__all__ = ["Core", "CoreSpec"]


class Core(Protocol):
    """The hardware of a core: takes a word in any cycle and gives its result a fixed number of cycles later. Members:
    ``i``: In(stream, always ready); ``o``: Out(stream, always ready)."""

    i: stream.Interface
    o: stream.Interface

    def elaborate(self, platform: object) -> Module:
        """The circuit."""
        ...


class CoreSpec(Protocol):
    """The parameters of a core, and what follows from them. ``NAME``, what its instance in a stage is called."""

    NAME: ClassVar[str]

    @property
    def o_format(self) -> WordFormat:
        """The words that leave."""
        ...

    @property
    def latency(self) -> int:
        """Cycles from the last word of a result to the result."""
        ...

    @property
    def compute(self) -> Callable[..., Any]:
        """Model: words (n, lanes, T) to words (m, lanes, T); of a merge also those of the shortcut, of a read-out also
        the best classes."""
        ...

    def parts(self) -> Parts:
        """What it is made of."""
        ...

    def core(self) -> Core:
        """The hardware."""
        ...
