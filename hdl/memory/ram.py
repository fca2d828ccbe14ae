"""Memories that are written: Amaranth's own on an FPGA, instances without contents on an ASIC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from amaranth import *
from amaranth.lib.memory import Memory

from ..verilog.library import Library, MacroMemory, is_asic

__all__ = ["Port", "block_ram", "ram"]


class Port(Protocol):
    """A port of a memory: ``en``, ``addr``, ``data``."""

    @property
    def en(self) -> Value: ...
    @property
    def addr(self) -> Value: ...
    @property
    def data(self) -> Value: ...


class _Wires(NamedTuple):
    en: Value
    addr: Value
    data: Value


def ram(
    m: Module,
    platform: object,
    width: int,
    depth: int,
    attrs: Mapping[str, str] | None = None,
    *,
    init: Sequence[int] = (),
    name: str = "memory",
    domain: Literal["sync", "comb"] = "sync",
) -> tuple[Port, Port]:
    """Add a memory as submodule ``name``; return its write port and its read port.

    ``domain`` of the read port: in the next cycle ("sync", where ``en`` is high) or at once ("comb"). On an FPGA it
    starts with ``init``, zeros behind it; on an ASIC with anything, as ``ram.v`` or ``register_file.v``.
    """
    if not isinstance(platform, Library) or not is_asic(platform):
        m.submodules[name] = memory = Memory(shape=width, depth=depth, init=list(init), attrs=dict(attrs or {}))
        write = memory.write_port()
        read = memory.read_port(domain=domain)
        return write, read
    bits = max(1, (depth - 1).bit_length())
    write, wires = (
        _Wires(Signal(name=f"{name}_{way}_en"), Signal(bits, name=f"{name}_{way}_addr"),
               Signal(width, name=f"{name}_{way}_data"))
        for way in ("w", "r")
    )  # fmt: skip
    module = "ram" if domain == "sync" else "register_file"
    inputs = {"clk": ClockSignal(), "we": write.en, "waddr": write.addr, "wdata": write.data, "raddr": wires.addr}
    if domain == "sync":
        inputs["re"] = wires.en
    kind = "ram" if domain == "sync" else "register file"
    platform.memories.append(MacroMemory(f"{platform.prefix}_{module}", kind, depth, width))
    parameters: dict[str, int | Const] = {"DEPTH": depth, "WIDTH": width, "ADDRESS": bits}
    m.submodules[name] = platform.instance(module, parameters, inputs, {"rdata": wires.data})
    return write, wires


def block_ram(m: Module, platform: Library, width: int, depth: int, *, name: str = "memory") -> tuple[Port, Port]:
    """Add a memory in block RAM as submodule ``name``; return its write port and its read port.

    The word at the read port's address comes two cycles later, out of the register that block RAMs have built in
    (``block_ram.v``). It starts with zeros; ``depth`` ends with ``style.BLOCK_RAM``; not for an ASIC.
    """
    bits = max(1, (depth - 1).bit_length())
    at = [Signal(bits, name=f"{name}_{way}_addr") for way in ("w", "r")]
    word = [Signal(width, name=f"{name}_{way}_data") for way in ("w", "r")]
    write, read = _Wires(Signal(name=f"{name}_w_en"), at[0], word[0]), _Wires(Const(1, 1), at[1], word[1])
    inputs = {"clk": ClockSignal(), "we": write.en, "waddr": write.addr, "wdata": write.data, "raddr": read.addr}
    parameters: dict[str, int | Const] = {"DEPTH": depth, "WIDTH": width, "ADDRESS": bits}
    m.submodules[name] = platform.instance("block_ram", parameters, inputs, {"rdata": read.data})
    return write, read
