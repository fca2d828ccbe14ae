"""The window: a line buffer in one memory, and the walk over it that feeds a stage.

Rows of input words fill a ring of row slots (``writer``, ``store``). The reader walks output position by output
position and hands out one word a cycle (``walk``, ``readers``): for synapses all taps of the window
(``order="taps"``), again for every group of outputs and every group of time steps; for pools and grouped convolutions
one part of the channels after the other (``order="channels"``). A row of the ring carries the cells of the padding on
its left and right, and where there is padding above or below the frame one slot stays empty: they are never written, so
the zeros around the image, or what else stands there (``pad``), cost no logic.

What comes behind never stalls. Instead the last word of a result is held back until a slot of the FIFO at the end of
the stage is free for it: ``credits`` results at most are on their way or waiting.

With ``chunk`` the reader walks over the flags of that many words at once, and
:class:`hdl.cores.window.sparse.SparseWalk` hands out the words that are not zero.
"""

from __future__ import annotations

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .line import LinePlace, LineWriter
from .readers import Flags, dense, sparse
from .spec import WindowSpec
from .store import Store
from .walk import Place, Walk
from .writer import Writer

__all__ = ["Window"]


class Window(wiring.Component):
    """The window of a :class:`WindowSpec`.

    Members: ``i``: In(stream of input words); ``o``: Out(stream of ``{data, last}``, always ready), ``last`` marks the
    end of a scan; ``taken``: In(1), a result has left the FIFO of the stage; ``hold``: In(1), the last word of the
    first scan of a result must wait; ``scanned``: Out(1), it is handed out. Where words are skipped ``o`` has ``row``
    too, the index of the weight row.
    """

    i: stream.Interface
    o: stream.Interface
    taken: Signal
    hold: Signal
    scanned: Signal

    def __init__(self, spec: WindowSpec) -> None:
        self.spec = spec
        word = {"data": spec.o_format.width, "last": 1}
        if spec.chunk:
            word |= {"row": range(spec.groups * spec.scan_words)}
        super().__init__(
            {
                "i": In(stream.Signature(spec.i_format.width)),
                "o": Out(stream.Signature(data.StructLayout(word), always_ready=True)),
                "taken": In(1),
                "hold": In(1),
                "scanned": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec = self.spec
        writer = LineWriter(m, spec, self.i) if spec.words else Writer(m, spec, self.i)
        walk = Walk(m, spec)
        place = LinePlace(m, walk) if spec.words else Place(m, walk)
        walk.mark(m)
        store = Store(m, platform, spec, writer, self.i)
        flags = Flags(self.taken, self.hold, self.scanned)
        if spec.chunk and isinstance(place, Place):
            words = sparse(m, place, store, flags)
        else:
            words = dense(m, place, store, flags)
        decision = {"valid": words.valid, "last": words.last}
        if words.row is not None:
            decision["row"] = words.row
        for name in decision:
            for k in range(1, spec.latency):
                register = Signal.like(Value.cast(decision[name]), name=f"{name}_{k}")
                m.d.sync += register.eq(decision[name])
                decision[name] = register
        m.d.comb += self.o.payload.data.eq(words.data)
        m.d.sync += [self.o.valid.eq(decision["valid"]), self.o.payload.last.eq(decision["last"])]
        if words.row is not None:
            m.d.sync += self.o.payload.row.eq(decision["row"])
        return m
