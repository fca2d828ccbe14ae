"""The frame of every core that never stalls: a stream in and a stream out, both always ready."""

from __future__ import annotations

from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Pipe"]


class Pipe(wiring.Component):
    """A core that takes a word in any cycle and gives its result a fixed number of cycles later.

    Parameters: ``i_shape`` and ``o_shape``, of the payloads.
    Members: ``i``: In(stream, always ready); ``o``: Out(stream, always ready).
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, i_shape: ShapeLike, o_shape: ShapeLike) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(i_shape, always_ready=True)),
                "o": Out(stream.Signature(o_shape, always_ready=True)),
            }
        )
