"""What a stage needs of the cores that its words go through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from amaranth import Module, Signal
from amaranth.lib import stream

from ..cost.parts import Parts
from ..streams.law import Link
from ..streams.words import WordFormat

__all__ = ["Core", "CoreSpec", "ExtraLaw", "Joining"]


class Core(Protocol):
    """The hardware of a core: takes a word in any cycle and gives its result a fixed number of cycles later. Members:
    ``i``: In(stream, always ready); ``o``: Out(stream, always ready)."""

    i: stream.Interface
    o: stream.Interface

    def elaborate(self, platform: object) -> Module:
        """The circuit."""
        ...


@runtime_checkable
class Joining(Core, Protocol):
    """A core that takes words of other streams too. Members, besides: ``extras``: In(stream of words) of each of them;
    ``hold``: Out(1), the window must not finish the first scan of a result yet; ``scanned``: In(1), it finished one."""

    hold: Signal
    scanned: Signal

    @property
    def extras(self) -> list[stream.Interface]:
        """The other streams."""
        ...


class ExtraLaw(Protocol):
    """When the words of such a stream move, as part of the law of the stage; ``i``, its link."""

    i: Link

    @property
    def occupied(self) -> int:
        """Words that waited at once, at most."""
        ...

    def feed(self) -> bool:
        """Take every word that can be taken; return whether any was."""
        ...

    def ready(self, result: int) -> int | None:
        """The first cycle in which the first scan of ``result`` may end, None while it is not known."""
        ...

    def finish(self, result: int, end: int) -> None:
        """Note that the window handed out the last word of ``result`` in cycle ``end``."""
        ...

    def table(self) -> list[int]:
        """Its numbers for the compiled law (``hdl.streams.compiled``)."""
        ...

    def tell(self, cycles: np.ndarray) -> None:
        """Take what the compiled law found: the cycles (n,) in which room was made."""
        ...


class CoreSpec(Protocol):
    """The parameters of a core, and what follows from them. ``NAME``, what its instance in a stage is called.

    What a stage asks of few cores has an answer here that is right for the others.
    """

    NAME: ClassVar[str]

    @property
    def o_format(self) -> WordFormat:
        """The words that leave."""
        ...

    @property
    def o_width(self) -> int:
        """Bits of a word that leaves, with what it holds besides those of ``o_format``."""
        return self.o_format.width

    @property
    def ratio(self) -> int:
        """Words that leave, one a cycle, for one that comes, where a word is handed out in parts."""
        return 1

    @property
    def turnaround(self) -> int:
        """Cycles that must lie between two words that belong to one result."""
        return 1

    @property
    def extras(self) -> tuple[WordFormat, ...]:
        """The words that it takes of other streams than that of the stage; its core is then :class:`Joining`."""
        return ()

    def extra_laws(self, links: Sequence[Link], delay: int) -> Sequence[ExtraLaw]:
        """The law of each of them, between ``links``; ``delay``, cycles from the window's last word of a result to the
        core."""
        return ()

    @property
    def latency(self) -> int:
        """Cycles from the last word of a result to the result."""
        ...

    @property
    def compute(self) -> Callable[..., Any]:
        """Model: words (n, lanes, T), and those of ``extras``, to words (m, lanes, T), of a read-out also the best
        classes."""
        ...

    def packed(self, *words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Model of the last core of a stage: what leaves, (m, lanes, T), and the same packed, (m, limbs), with what
        else it holds."""
        x = self.compute(*words)
        return x, self.o_format.pack(x)

    def parts(self) -> Parts:
        """What it is made of."""
        ...

    def unread(self, behind: int) -> int:
        """Bits of a word that comes in which it does not read, where ``behind`` bits of what leaves are not read."""
        return 0

    def spared(self, unread: int) -> Parts:
        """What goes away where ``unread`` bits of what leaves are not read: a negative count."""
        return Parts()

    def core(self) -> Core:
        """The hardware."""
        ...
