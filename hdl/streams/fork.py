"""Stream plumbing of residual networks: a fork to several readers, and the pixels that a strided shortcut keeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .counter import counter
from .law import Link
from .words import WordFormat

__all__ = ["Decimator", "DecimatorLaw", "DecimatorSpec", "Fork", "ForkLaw"]


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


@dataclass(frozen=True)
class DecimatorSpec:
    """Keeps every ``stride``-th pixel of every ``stride``-th row, the first ones included.

    Parameters: ``i_format``, the words; ``pixel_words``, words of a pixel; ``height``, ``width`` of a frame.
    """

    i_format: WordFormat
    pixel_words: int
    height: int
    width: int
    stride: int

    def kept(self) -> np.ndarray:
        """Whether each word of a frame is kept (height * width * pixel_words,)."""
        y, x = np.indices((self.height, self.width))
        return np.repeat(((y % self.stride == 0) & (x % self.stride == 0)).reshape(-1), self.pixel_words)

    def compute(self, words: np.ndarray) -> np.ndarray:
        """Model: words (n, lanes, T) of whole frames to those that are kept."""
        return words.reshape(-1, len(self.kept()), *words.shape[1:])[:, self.kept()].reshape(-1, *words.shape[1:])


class Decimator(wiring.Component):
    """The hardware of a :class:`DecimatorSpec`: a word that is not kept is taken at once and goes nowhere.

    Members: ``i``: In(stream of words); ``o``: Out(stream of words).
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, spec: DecimatorSpec) -> None:
        self.spec = spec
        signature = stream.Signature(spec.i_format.width)
        super().__init__({"i": In(signature), "o": Out(signature)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec = self.spec
        inner: Value = Signal(name="moves")
        m.d.comb += inner.eq(self.i.valid & self.i.ready)
        keep: Value = Const(1)
        for name, count in (("word", spec.pixel_words), ("x", spec.width), ("y", spec.height)):
            value, at_end = counter(m, count, inner, name)
            if name != "word" and count > 1:
                # Where the stride is a power of two, the low bits of the counter tell; else a counter of its own.
                phase: Value = value[: spec.stride.bit_length() - 1]
                if spec.stride & (spec.stride - 1):
                    phase = Signal(range(spec.stride), name=f"{name}_phase")
                    with m.If(inner):
                        m.d.sync += phase.eq(Mux(at_end | (phase == spec.stride - 1), 0, phase + 1))
                keep = keep & (phase == 0)
            ends = Signal(name=f"{name}_ends")
            m.d.comb += ends.eq(inner & at_end)
            inner = ends
        m.d.comb += [
            self.o.valid.eq(self.i.valid & keep),
            self.o.payload.eq(self.i.payload),
            self.i.ready.eq(~keep | self.o.ready),
        ]
        return m


class DecimatorLaw:
    """When the words of a :class:`Decimator` move: a kept word when it is taken behind it, another one at once."""

    def __init__(self, spec: DecimatorSpec, i: Link, o: Link) -> None:
        self.i, self.o, self.ins, self.outs = i, o, (i,), (o,)
        self._kept = spec.kept().tolist()
        self._passed = 0

    def advance(self) -> None:
        """Take every word that can be taken."""
        i, o, kept = self.i, self.o, self._kept
        while i.pending():
            if not kept[len(i.taken) % len(kept)]:
                i.take(0)
                continue
            if len(o.offered) == self._passed:
                o.offered.append(i.shown())
            if len(o.taken) == self._passed:
                return
            i.take(o.taken[self._passed])
            self._passed += 1
