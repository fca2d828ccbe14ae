"""Registers behind an AXI4-Lite port (AMBA AXI and ACE specification, IHI 0022E, chapters A3 and B1)."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["OKAY", "SLVERR", "AxiLite"]

OKAY, SLVERR = 0, 2
"""Responses: the access was done; there is no such register, or it cannot be written."""


class AxiLite(wiring.Component):
    """A subordinate with 32-bit data: the five channels on one side, words to read and strobes to write on the other.

    The channels do not wait for each other: address and data of a write come in any order and are taken as they come,
    reads go on meanwhile. Every output is a register or depends on registers alone. A write takes three cycles, a read
    two. Bits 1 and 0 of an address are not looked at. What is not in ``readable`` reads as 0 with SLVERR; what is not
    in ``writable`` is left alone with SLVERR.

    Parameters: ``address_bits``; ``readable`` and ``writable``, addresses of registers, multiples of 4.
    Members: ``aw``, ``ar``: In(stream of addresses); ``w``: In(stream of ``data`` and ``strb``); ``b``: Out(stream of
    responses); ``r``: Out(stream of ``data`` and ``resp``); ``values``: In(words, those of ``readable`` in their
    order), looked at in the cycle in which an address is taken; ``strobes``: Out(1 bit for each of ``writable``), high
    for one cycle in which ``data`` and ``enable``, a bit for every byte of it, hold what is to be written.
    Raises ValueError where an address does not fit.
    """

    aw: stream.Interface
    w: stream.Interface
    b: stream.Interface
    ar: stream.Interface
    r: stream.Interface
    values: data.View
    strobes: Signal
    data: Signal
    enable: Signal

    def __init__(self, address_bits: int, readable: Sequence[int], writable: Sequence[int]) -> None:
        for address in (*readable, *writable):
            if address % 4 or not 0 <= address < 1 << address_bits:
                raise ValueError(f"An address must be a multiple of 4 below {1 << address_bits}, not {address!r}")
        self.readable, self.writable = tuple(readable), tuple(writable)
        super().__init__(
            {
                "aw": In(stream.Signature(address_bits)),
                "w": In(stream.Signature(data.StructLayout({"data": 32, "strb": 4}))),
                "b": Out(stream.Signature(2)),
                "ar": In(stream.Signature(address_bits)),
                "r": Out(stream.Signature(data.StructLayout({"data": 32, "resp": 2}))),
                "values": In(data.ArrayLayout(32, len(self.readable))),
                "strobes": Out(len(self.writable)),
                "data": Out(32),
                "enable": Out(4),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        addressed = Signal()
        filled = Signal()
        fires = Signal()
        chosen = Signal(len(self.writable))
        m.d.comb += [
            self.aw.ready.eq(~addressed),
            self.w.ready.eq(~filled),
            fires.eq(addressed & filled & ~self.b.valid),
            self.strobes.eq(Mux(fires, chosen, 0)),
        ]
        with m.If(self.aw.valid & self.aw.ready):
            m.d.sync += [
                addressed.eq(1),
                chosen.eq(Cat(self.aw.payload[2:] == address >> 2 for address in self.writable)),
            ]
        with m.If(self.w.valid & self.w.ready):
            m.d.sync += [filled.eq(1), self.data.eq(self.w.payload.data), self.enable.eq(self.w.payload.strb)]
        with m.If(self.b.ready):
            m.d.sync += self.b.valid.eq(0)
        with m.If(fires):
            m.d.sync += [
                addressed.eq(0),
                filled.eq(0),
                self.b.valid.eq(1),
                self.b.payload.eq(Mux(chosen.any(), OKAY, SLVERR)),
            ]

        m.d.comb += self.ar.ready.eq(~self.r.valid)
        with m.If(self.r.ready):
            m.d.sync += self.r.valid.eq(0)
        with m.If(self.ar.valid & self.ar.ready):
            m.d.sync += [self.r.valid.eq(1), self.r.payload.data.eq(0), self.r.payload.resp.eq(SLVERR)]
            with m.Switch(self.ar.payload[2:]):
                for k, address in enumerate(self.readable):
                    with m.Case(address >> 2):
                        m.d.sync += [self.r.payload.data.eq(self.values[k]), self.r.payload.resp.eq(OKAY)]
        return m
