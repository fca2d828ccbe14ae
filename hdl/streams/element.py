"""What a design needs of all that stands between its streams: stages, forks, width conversions, strided shortcuts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from amaranth import Module
from amaranth.lib import stream, wiring

from ..cores.window.sparse_law import ScanCosts
from ..cost.parts import Parts
from .law import Link, Process

__all__ = ["ElementCore", "ElementSpec"]


class ElementCore(wiring.Component, ABC):
    """The hardware of an element. Members: ``i``: In(stream), and ``o``: Out(stream), or those that :attr:`ins` and
    :attr:`outs` say."""

    i: stream.Interface
    o: stream.Interface

    @abstractmethod
    def elaborate(self, platform: object) -> Module:
        """The circuit."""

    @property
    def ins(self) -> list[stream.Interface]:
        """The input streams."""
        return [self.i]

    @property
    def outs(self) -> list[stream.Interface]:
        """The output streams."""
        return [self.o]


class ElementSpec(Protocol):
    """The parameters of an element, and what follows from them."""

    def compute(self, *words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Model: words (n, lanes, T) of whole frames on every input to those on every output (m, lanes, T), and the
        same packed, (m, limbs), with what else they hold."""
        ...

    def law(self, ins: Sequence[Link], outs: Sequence[Link], costs: Sequence[ScanCosts] | None = None) -> Process:
        """The timed process between the links of the inputs and those of the outputs; ``costs`` of the scans of a stage
        that skips words."""
        ...

    def parts(self) -> Parts:
        """What it is made of, without what nothing reads where it stands."""
        ...

    def core_parts(self) -> dict[str, Parts]:
        """The parts by the name of the core in it, "" for what belongs to none."""
        return {"": self.parts()}

    def core(self) -> ElementCore:
        """The hardware."""
        ...
