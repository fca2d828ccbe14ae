"""Constants that change with a counter: block-RAM or logic, chosen by one named rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth import *
from amaranth.lib.memory import Memory

from ..streams.words import shape_for
from ..verilog.library import Library, is_asic
from .style import DEEPEST, rom_style

__all__ = ["UNCHECKED", "asic_rom", "packed_rows", "rom", "selected"]

UNCHECKED = {"no_rw_check": "1"}
"""Attribute of a memory whose readers never use a word that is written in the same cycle: without it Yosys adds
registers and multiplexers around a block RAM, so that such a read gives the old word."""


def packed_rows(rows: np.ndarray, bits: int) -> list[int]:
    """Pack integers (depth, columns) of ``bits`` bits each into one word a row, the first column lowest."""
    mask = (1 << bits) - 1
    return [sum((int(v) & mask) << (bits * k) for k, v in enumerate(row)) for row in rows]


def rom(
    m: Module, platform: object, words: Sequence[int], width: int, address: Value, *, logic: bool = False
) -> Value:
    """Return ``words[address]`` of two cycles ago: read in one cycle, registered in the next; ``logic``: in LUTs."""
    depth, style = len(words), "logic" if logic else rom_style(len(words), width)
    data = Signal(width, name="rom_data", reset_less=True)
    if isinstance(platform, Library) and is_asic(platform):
        m.d.sync += data.eq(asic_rom(m, platform, words, width, address, style))
        return data
    if not isinstance(platform, Library) or style == "logic" or depth > DEEPEST:
        m.submodules.memory = memory = Memory(
            shape=width, depth=depth, init=words, attrs={"rom_style": style, "ram_style": style}
        )
        port = memory.read_port()
        m.d.comb += [port.en.eq(1), port.addr.eq(address)]
        m.d.sync += data.eq(port.data)
        return data
    # Banks that are whole block RAMs of every device, and no longer constants than tools can read.
    bank = 144 * 256 // max(256, 1 << (depth - 1).bit_length())
    for first in range(0, width, bank):
        part = data[first : first + bank]
        init = sum((word >> first & (1 << len(part)) - 1) << (k * len(part)) for k, word in enumerate(words))
        m.submodules += platform.instance(
            "rom",
            {"DEPTH": depth, "WIDTH": len(part), "ADDRESS": len(address), "INIT": Const(init, depth * len(part))},
            {"clk": ClockSignal(), "address": address},
            {"data": part},
        )
    return data


def asic_rom(
    m: Module, platform: Library, words: Sequence[int], width: int, address: Value, style: str, name: str = "rom_word"
) -> Value:
    """Return ``words[address]`` of one cycle ago, of a module with these constants (``hdl.memory.tables``); ``style``
    "block": a ROM that may become a macro, or "logic"."""
    word = Signal(width, name=name)
    padded = Cat(address, Const(0, max(0, 1 - len(address))))
    inputs = {"clk": ClockSignal(), "addr": padded}
    m.submodules += platform.table(words, width, style == "block", inputs, {"data": word})
    return word


def selected(m: Module, index: Value, values: Sequence[int], name: str) -> Value:
    """Return ``values[index]`` as logic; a plain constant where all values are equal."""
    values = [int(v) for v in values]
    shape = shape_for(min(values), max(values))
    if len(set(values)) == 1:
        return Const(values[0], shape)
    result = Signal(shape, name=name)
    with m.Switch(index):
        for k, value in enumerate(values[:-1]):
            with m.Case(k):
                m.d.comb += result.eq(value)
        with m.Default():
            m.d.comb += result.eq(values[-1])
    return result
