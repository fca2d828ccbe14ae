"""A fork: hands the words of a stream to several readers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from ..cores.window.sparse_law import ScanCosts
from ..cost.parts import Parts
from .element import ElementCore, ElementSpec
from .law import Link, Table
from .words import WordFormat

__all__ = ["Fork", "ForkLaw", "ForkSpec"]


@dataclass(frozen=True)
class ForkSpec(ElementSpec):
    """Hands every word of ``i_format`` to ``branches`` readers, at least 2."""

    i_format: WordFormat
    branches: int

    def __post_init__(self) -> None:
        if self.branches < 2:
            raise ValueError(f"A fork has at least two branches, not {self.branches}")

    def compute(self, *words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Model: words (n, lanes, T) to the same on every branch, and packed."""
        (x,) = words
        return x, self.i_format.pack(x)

    def law(self, ins: Sequence[Link], outs: Sequence[Link], costs: Sequence[ScanCosts] | None = None) -> ForkLaw:
        """The timed process between the link that comes in and those of the branches."""
        return ForkLaw(ins[0], tuple(outs))

    def parts(self) -> Parts:
        """What it is made of: a flag for each branch."""
        parts = Parts()
        parts.registers(self.branches)
        parts.logic["fork branch"] += self.branches
        return parts

    def core(self) -> Fork:
        """The hardware."""
        return Fork(self)


class Fork(ElementCore):
    """The hardware of a :class:`ForkSpec`: each reader takes a word when it is ready; then the next word comes.

    A reader sees a word in the cycle in which it is valid at the input and is not shown it again once it took it, so
    valid waits for no ready and stays until the transfer.

    Law: shown_j[k] = shown_i[k]; taken_i[k] = max over j of taken_j[k] (:class:`ForkLaw`).

    Members: ``i``: In(stream); ``o0``, ``o1`` ...: Out(stream).
    """

    def __init__(self, spec: ForkSpec) -> None:
        self.spec = spec
        signature = stream.Signature(spec.i_format.width)
        super().__init__({"i": In(signature), **{f"o{k}": Out(signature) for k in range(spec.branches)}})

    @property
    def outs(self) -> list[stream.Interface]:
        """The streams of all branches."""
        return [getattr(self, f"o{k}") for k in range(self.spec.branches)]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        done = [Signal(name=f"done_{k}") for k in range(self.spec.branches)]
        m.d.comb += self.i.ready.eq(Cat(d | o.ready for d, o in zip(done, self.outs, strict=True)).all())
        for o, flag in zip(self.outs, done, strict=True):
            m.d.comb += [o.payload.eq(self.i.payload), o.valid.eq(self.i.valid & ~flag)]
            m.d.sync += flag.eq(self.i.valid & ~self.i.ready & (flag | o.ready))
        return m


class ForkLaw:
    """When the words of a :class:`Fork` move."""

    def __init__(self, i: Link, outs: tuple[Link, ...]) -> None:
        self.i, self.ins, self.outs = i, (i,), outs

    def table(self) -> Table:
        """For the compiled law."""
        return "fork", []

    def advance(self) -> None:
        """Show every word that came, and take it once all readers have."""
        i, outs = self.i, self.outs
        while i.pending():
            k = len(i.taken)
            if len(outs[0].offered) == k:
                shown = i.shown()
                for o in outs:
                    o.offered.append(shown)
            if any(len(o.taken) == k for o in outs):
                return
            i.take(max(o.taken[k] for o in outs))
