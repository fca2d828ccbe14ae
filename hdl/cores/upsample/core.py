"""The words of an upsampling: those of the window, as they come."""

from __future__ import annotations

from amaranth import *
from amaranth.lib import data

from ...streams.pipe import Pipe
from .spec import UpsampleSpec

__all__ = ["Upsampled"]


class Upsampled(Pipe):
    """The wires of an :class:`UpsampleSpec`. Takes a word in any cycle, never stalls.

    Members: ``i``: In(stream of ``{data: window word, last: end of a window}``, always ready);
    ``o``: Out(stream of words, always ready).
    """

    def __init__(self, spec: UpsampleSpec) -> None:
        self.spec = spec
        super().__init__(data.StructLayout({"data": spec.i_format.width, "last": 1}), spec.o_format.width)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [self.o.valid.eq(self.i.valid), self.o.payload.eq(self.i.payload.data)]
        return m
