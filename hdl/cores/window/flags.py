"""The flags of a window whose all-zero words are skipped: a memory beside the ring, ``chunk`` of them at an address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth import *
from amaranth.lib import data, stream

from ...memory.ram import Port, ram
from ...memory.style import memory_style
from ...verilog.library import is_asic
from .spec import WindowSpec

__all__ = ["Reading", "reading", "written"]


@dataclass(frozen=True, eq=False)
class Reading:
    """The chunk that the flag memory is reading: whether there is one (``valid``), its entry, its flags as they are
    ``found``; ``free``, whether the stage behind takes it, which that one drives."""

    valid: Signal
    chunk: Any
    found: Value
    free: Signal


def written(m: Module, platform: object, spec: WindowSpec, depth: int, write: data.View) -> Port:
    """Write the flags of a chunk, one of ``depth``, into their memory together with its last word, which ``write``
    shows (``hdl.cores.window.sparse``); return the port to read them."""
    style = {"ram_style": memory_style(depth, spec.chunk)}
    port, read = ram(m, platform, spec.chunk, depth, style, name="flags")
    lane_bits = (spec.chunk - 1).bit_length()
    events = Signal(spec.chunk)  # the latest one highest
    at = Value.cast(write.at)
    m.d.comb += [
        port.en.eq(write.en & at[:lane_bits].all()),
        port.addr.eq(at[lane_bits:]),
        port.data.eq(Cat(events[1:], write.event)),
    ]
    with m.If(write.en):
        m.d.sync += events.eq(port.data)
    return read


def reading(m: Module, platform: object, spec: WindowSpec, read: Port, walk: stream.Interface) -> Reading:
    """Read the flags of the chunks of ``walk``."""
    reading = Signal()
    chunk: Any = Signal(walk.payload.shape())
    next_free = Signal()
    found: Value = read.data
    if spec.padded and is_asic(platform):  # flags that were never written
        found = Mux(spec.outside(chunk.at, spec.chunk), 0, read.data)
    m.d.comb += [walk.ready.eq(~reading | next_free), read.en.eq(walk.ready), read.addr.eq(walk.payload.at)]
    with m.If(walk.ready):
        m.d.sync += [reading.eq(walk.valid), chunk.eq(walk.payload)]
    return Reading(reading, chunk, found, next_free)
