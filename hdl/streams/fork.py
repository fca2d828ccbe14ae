"""A fork: hands the words of a stream to several readers."""

from __future__ import annotations

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .law import Link

__all__ = ["Fork", "ForkLaw"]


class Fork(wiring.Component):
    """Hands every word to ``branches`` readers, each of which takes it when it is ready; then the next word comes.

    A reader sees a word in the cycle in which it is valid at the input and is not shown it again once it took it, so
    valid waits for no ready and stays until the transfer.

    Law: shown_j[k] = shown_i[k]; taken_i[k] = max over j of taken_j[k] (:class:`ForkLaw`).

    Parameters: ``shape``, of the payload; ``branches``, at least 2.
    Members: ``i``: In(stream); ``o0``, ``o1`` ...: Out(stream).
    """

    i: stream.Interface

    def __init__(self, shape: int, branches: int) -> None:
        if branches < 2:
            raise ValueError(f"A fork has at least two branches, not {branches}")
        self.branches = branches
        signature = stream.Signature(shape)
        super().__init__({"i": In(signature), **{f"o{k}": Out(signature) for k in range(branches)}})

    @property
    def outs(self) -> list[stream.Interface]:
        """The streams of all branches."""
        return [getattr(self, f"o{k}") for k in range(self.branches)]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        done = [Signal(name=f"done_{k}") for k in range(self.branches)]
        m.d.comb += self.i.ready.eq(Cat(d | o.ready for d, o in zip(done, self.outs, strict=True)).all())
        for o, flag in zip(self.outs, done, strict=True):
            m.d.comb += [o.payload.eq(self.i.payload), o.valid.eq(self.i.valid & ~flag)]
            m.d.sync += flag.eq(self.i.valid & ~self.i.ready & (flag | o.ready))
        return m


class ForkLaw:
    """When the words of a :class:`Fork` move."""

    def __init__(self, i: Link, outs: tuple[Link, ...]) -> None:
        self.i, self.ins, self.outs = i, (i,), outs

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
