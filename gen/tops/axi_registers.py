"""The registers of the AXI core: their addresses, and what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import PlanError

__all__ = ["ADDRESS_BITS", "IDENTITY", "MAP_VERSION", "REGISTERS", "VERSION", "Register", "map_register_table",
           "register_table", "registers_of"]

IDENTITY = int.from_bytes(b"LOOM", "big")
"""What the register ``identity`` reads as."""

VERSION = 0x0001_0000
"""Version of the registers and of the packets: the first number in bits 31..16, the second in bits 15..0."""

MAP_VERSION = 0x0001_0001
"""The version of a core with maps: the registers of the one before, and more behind them."""

ADDRESS_BITS = 12
"""Bits of an address: the registers take 4 KiB."""


@dataclass(frozen=True)
class Register:
    """A register: its ``address`` in bytes, ``access`` ("read" or "write", which may be read too), and what it is."""

    name: str
    address: int
    access: str
    text: str


def _registers(*rows: tuple[str, str, str]) -> tuple[Register, ...]:
    return tuple(Register(name, 4 * k, access, text) for k, (name, access, text) in enumerate(rows))


def _version(number: int) -> str:
    return f"of registers and packets: `{number:#010x}` is {number >> 16}.{number & 0xFFFF}"


_ROWS = (
    ("identity", "read", f"`{IDENTITY:#010x}`, \"LOOM\""),
    ("version", "read", _version(VERSION)),
    ("hash_low", "read", "hash of the network, bits 31..0: digits 9 to 16 of the hash in `design.json`"),
    ("hash_high", "read", "bits 63..32: digits 1 to 8"),
    ("control", "write", "bit 0: a 1 written is a soft reset, of one cycle; reads as 0"),
    ("status", "read", "bit 0, busy: a packet, a frame or a result is under way"),
    ("frames", "read", "results handed out to the output register"),
    ("errors", "read", "of these, results of packets with a wrong length"),
    ("stalls_in", "read", "cycles in which `s_axis_tvalid` met no `s_axis_tready`"),
    ("stalls_out", "read", "cycles in which `m_axis_tvalid` met no `m_axis_tready`"),
    ("frame_bytes", "read", "bytes of a frame"),
    ("result_words", "read", "words of a result: 1 + classes"),
    ("beat_bytes", "read", "bytes of a beat of `s_axis`"),
    ("pixel_high", "read", "the highest pixel; a higher byte counts as this"),
)

REGISTERS = _registers(*_ROWS)
"""All registers of a core without maps, in the order of their addresses."""


def registers_of(maps: Sequence[str]) -> tuple[Register, ...]:
    """All registers of a core with ``maps`` of these names, in the order of their addresses. Raises PlanError where
    there are too many."""
    if not maps:
        return REGISTERS
    changed = {"version": _version(MAP_VERSION), "status": "bit 0, busy: a packet, a frame, a result or a map is under "
               "way"}  # fmt: skip
    rows = [(name, access, changed.get(name, text)) for name, access, text in _ROWS]
    rows += [
        ("maps", "read", "streams of maps"),
        ("stalls_maps", "read", "cycles in which `m_axis_NAME_tvalid` of any map met no `m_axis_NAME_tready`"),
    ]
    for name in maps:
        rows += [(f"words_{name}", "read", f"words of a frame of `m_axis_{name}`"),
                 (f"bytes_{name}", "read", f"bytes of a word of `m_axis_{name}`")]  # fmt: skip
    if 4 * len(rows) > 1 << ADDRESS_BITS:
        raise PlanError(f"The AXI core has no addresses for {len(maps)} maps; use the plain top level")
    return _registers(*rows)


def register_table() -> str:
    """:data:`REGISTERS` as a table in Markdown."""
    return _table(REGISTERS)


def map_register_table() -> str:
    """What a core with a map NAME has behind them, and its version, as a table in Markdown."""
    found = registers_of(["NAME"])
    return _table([r for r in found if r not in REGISTERS])


def _table(registers: Sequence[Register]) -> str:
    rows = [f"| `{r.address:#04x}` | `{r.name}` | {r.access} | {r.text} |" for r in registers]
    return "\n".join(["| address | register | access | what it holds |", "| --- | --- | --- | --- |", *rows])
