"""Constants that change with a counter: block-RAM or logic, chosen by one named rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth import *
from amaranth.lib.memory import Memory

from ..cost.memory import mapped
from ..streams.words import shape_for
from ..verilog.library import Library, is_asic
from .logic_rom import logic_rom
from .style import DEEPEST, rom_style

__all__ = ["UNCHECKED", "asic_rom", "block_rams", "packed_rows", "packed_words", "rom", "selected"]

UNCHECKED = {"no_rw_check": "1"}
"""Attribute of a memory whose readers never use a word that is written in the same cycle: without it Yosys adds
registers and multiplexers around a block RAM, so that such a read gives the old word."""


def packed_rows(rows: np.ndarray, bits: int) -> list[int]:
    """Pack integers (depth, columns) of ``bits`` bits each into one word a row, the first column lowest."""
    mask = (1 << bits) - 1
    return [sum((int(v) & mask) << (bits * k) for k, v in enumerate(row)) for row in rows]


def rom(
    m: Module,
    platform: object,
    words: Sequence[int],
    width: int,
    address: Value,
    *,
    logic: bool = False,
    cycles: int = 2,
) -> Value:
    """Return ``words[address]`` of two or three ``cycles`` ago: read in one cycle, registered in the next. With a third
    one the address has a register before that or, where several block RAMs make up a word's bits, what chooses among
    them has one behind it. ``logic``: in LUTs."""
    depth, style = len(words), "logic" if logic else rom_style(len(words), width)
    late = cycles > 2
    block = isinstance(platform, Library) and not is_asic(platform) and style == "block"
    banks = mapped(depth, width, "block", written=False).banks if late and block else 1
    data = Signal(width, name="rom_data", reset_less=True)
    if banks > 1 and isinstance(platform, Library):
        m.d.sync += data.eq(_banks(m, platform, words, width, address, banks))
        return data
    if late:
        early, address = address, Signal(range(depth), name="rom_address", reset_less=True)
        m.d.sync += address.eq(early)
    if isinstance(platform, Library) and block and (late or depth <= DEEPEST):
        block_rams(m, platform, words, address, data)
        return data
    if isinstance(platform, Library) and is_asic(platform):
        word = asic_rom(m, platform, words, width, address, style)
    elif style == "logic":
        return logic_rom(m, platform, words, width, address)
    else:
        m.submodules.memory = memory = Memory(
            shape=width, depth=depth, init=words, attrs={"rom_style": style, "ram_style": style}
        )
        port = memory.read_port()
        m.d.comb += [port.en.eq(1), port.addr.eq(address)]
        word = port.data
    m.d.sync += data.eq(word)
    return data


def _banks(m: Module, platform: Library, words: Sequence[int], width: int, address: Value, banks: int) -> Value:
    """Return ``words[address]`` of two cycles ago: a row of block RAMs has a word of each of ``banks``, and the higher
    bits of the address choose one behind the registers."""
    bits = (len(words) - 1).bit_length() - (banks - 1).bit_length()
    texts = [f"{word:0{width}b}" for word in words]
    rows = [joined(texts[n :: 1 << bits] or ["0"]) for n in range(1 << bits)]
    row = Signal(width * banks, name="rom_row")
    block_rams(m, platform, rows, address[:bits], row)
    bank, later = (Signal(range(banks), name=name, reset_less=True) for name in ("rom_bank", "rom_bank_later"))
    m.d.sync += [bank.eq(address[bits:]), later.eq(bank)]
    return row.word_select(later, width)


def packed_words(rows: np.ndarray, bits: np.ndarray) -> list[int]:
    """Each of ``rows`` (n, fields), integers without a sign, as a word: its fields side by side in so many ``bits``
    (fields,), the first one lowest."""
    starts = np.cumsum(bits) - bits
    field = np.repeat(np.arange(len(bits)), bits)
    rows = rows.astype(np.min_scalar_type(int(rows.max(initial=0))))
    shift = (np.arange(len(field)) - starts[field]).astype(rows.dtype)
    packed = np.packbits((rows[:, field] >> shift & 1).astype(np.uint8), axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


def joined(texts: Sequence[str]) -> int:
    """Words as one number, the first one lowest; ``texts``, the binary digits of each."""
    return int("".join(reversed(texts)), 2)


def block_rams(m: Module, platform: Library, words: Sequence[int], address: Value, data: Signal) -> None:
    """Drive ``data`` with ``words[address]`` of two cycles ago, out of block RAMs with the registers in them."""
    depth, width = len(words), len(data)
    # Memories that are whole block RAMs of every device, and no longer constants than tools can read.
    bank = 144 * 256 // max(256, 1 << (depth - 1).bit_length())
    bank -= bank % 4 if depth > DEEPEST and bank > 4 else 0
    texts = [f"{word:0{width}b}" for word in words]
    for first in range(0, width, bank):
        part = data[first : first + bank]
        init = joined([text[width - first - len(part) : width - first] for text in texts])
        m.submodules += platform.instance(
            "rom",
            {"DEPTH": depth, "WIDTH": len(part), "ADDRESS": len(address), "INIT": Const(init, depth * len(part))},
            {"clk": ClockSignal(), "address": address},
            {"data": part},
        )


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
