"""The pixels that a strided shortcut keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from ..cores.window.sparse_law import ScanCosts
from ..cost.parts import Parts
from .counter import counter
from .element import ElementCore, ElementSpec
from .law import Link, Table, listed
from .words import WordFormat

__all__ = ["Decimator", "DecimatorLaw", "DecimatorSpec"]


@dataclass(frozen=True)
class DecimatorSpec(ElementSpec):
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

    def compute(self, *words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Model: words (n, lanes, T) of whole frames to those that are kept, and the same packed."""
        (x,) = words
        x = x.reshape(-1, len(self.kept()), *x.shape[1:])[:, self.kept()].reshape(-1, *x.shape[1:])
        return x, self.i_format.pack(x)

    def law(self, ins: Sequence[Link], outs: Sequence[Link], costs: Sequence[ScanCosts] | None = None) -> DecimatorLaw:
        """The timed process between two links."""
        return DecimatorLaw(self, ins[0], outs[0])

    def parts(self) -> Parts:
        """What it is made of: its counters."""
        parts = Parts()
        for count in (self.pixel_words, self.width, self.height):
            parts.counter(count)
        if self.stride & (self.stride - 1):
            for count in (self.width, self.height):
                if count > 1:
                    parts.counter(self.stride)
        parts.logic["decimator"] += 1
        return parts

    def core(self) -> Decimator:
        """The hardware."""
        return Decimator(self)


class Decimator(ElementCore):
    """The hardware of a :class:`DecimatorSpec`: a word that is not kept is taken at once and goes nowhere.

    Members: ``i``: In(stream of words); ``o``: Out(stream of words).
    """

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

    def table(self) -> Table:
        """For the compiled law."""
        return "decimator", listed(self._kept)

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
