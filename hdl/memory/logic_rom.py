"""Constants in LUTs that change with an address: its copies and what they choose are registered.

A column of more than 16 words is several LUTs, and an address that drives the LUTs of hundreds of columns is slow. So
no copy drives many more than :data:`LOADS` of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import *
from amaranth.lib.memory import Memory

from ..verilog.library import Library

__all__ = ["LOADS", "address_copies", "logic_rom"]

LOADS = 64
"""LUTs that a copy of the address drives, about."""


def address_copies(depth: int, columns: int) -> int:
    """Copies of the address for so many different columns."""
    return -(-columns // _per_copy(depth))


def logic_rom(m: Module, platform: object, words: Sequence[int], width: int, address: Value) -> Value:
    """Return ``words[address]`` of two cycles ago. Columns that are equal, or the same in all words, are there once."""
    columns = [tuple(word >> bit & 1 for word in words) for bit in range(width)]
    places: dict[tuple[int, ...], Value] = {column: Const(column[0], 1) for column in columns if len(set(column)) == 1}
    different = list(dict.fromkeys(column for column in columns if column not in places))
    per_copy = _per_copy(len(words))
    for k, first in enumerate(range(0, len(different), per_copy)):
        mine = different[first : first + per_copy]
        name = f"rom_address_{k}"
        copy = Signal(len(address), name=name, reset_less=True)
        if isinstance(platform, Library) and len(different) > per_copy:  # equal flip-flops would be one after synthesis
            inputs = {"clk": ClockSignal(), "d": Value.cast(address)}
            m.submodules += platform.instance("copy", {"WIDTH": len(address)}, inputs, {"q": copy})
        else:
            m.d.sync += copy.eq(address)
        init = [sum(column[row] << place for place, column in enumerate(mine)) for row in range(len(words))]
        attrs = {"rom_style": "logic", "ram_style": "logic"}
        m.submodules[f"memory_{k}"] = memory = Memory(shape=len(mine), depth=len(words), init=init, attrs=attrs)
        port = memory.read_port()
        m.d.comb += [port.en.eq(1), port.addr.eq(copy)]
        places |= {column: port.data[place] for place, column in enumerate(mine)}
    data = Signal(width, name="rom_data")
    m.d.comb += data.eq(Cat(places[column] for column in columns))
    return data


def _per_copy(depth: int) -> int:
    """Columns for each copy of the address."""
    return max(1, LOADS // -(-depth // 16))
