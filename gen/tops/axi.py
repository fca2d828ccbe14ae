"""A design as an AXI core: AXI4-Stream for pixels and results, AXI4-Lite for its registers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any, cast

from amaranth.hdl import Cat, ClockDomain, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...hdl.host.axi_lite import AxiLite
from ...hdl.host.axi_stream import PacketEnd
from ...hdl.verilog.library import Library
from ...quant.files.replacing import replacing
from ..design import Design
from ..emit import lint
from ..emit.integrate.axi_core import axi_header
from ..emit.names import axi_file
from ..emit.writer import module, write_contents
from .accelerator import Accelerator, check_outputs

__all__ = ["ADDRESS_BITS", "IDENTITY", "REGISTERS", "VERSION", "AxiTop", "Register", "beat_bytes",
           "register_table", "write"]

IDENTITY = int.from_bytes(b"LOOM", "big")
"""What the register ``identity`` reads as."""

VERSION = 0x0001_0000
"""Version of the registers and of the packets: the first number in bits 31..16, the second in bits 15..0."""

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


REGISTERS = _registers(
    ("identity", "read", f"`{IDENTITY:#010x}`, \"LOOM\""),
    ("version", "read", f"of registers and packets: `{VERSION:#010x}` is {VERSION >> 16}.{VERSION & 0xFFFF}"),
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
"""All registers, in the order of their addresses."""


def register_table() -> str:
    """:data:`REGISTERS` as a table in Markdown."""
    rows = [f"| `{r.address:#04x}` | `{r.name}` | {r.access} | {r.text} |" for r in REGISTERS]
    return "\n".join(["| address | register | access | what it holds |", "| --- | --- | --- | --- |", *rows])


def beat_bytes(design: Design) -> int:
    """Bytes of an input beat for ``design``: 4 or a higher power of two that divides a frame, the smallest that keeps
    up with the design; where there is none, the pixels of the design's input word."""
    entry = design.boundaries[0]
    word, frame = entry.format.lanes, entry.words_per_frame * entry.format.lanes
    cycles = design.free_run.transfers[design.outputs["o"].name]
    interval = int(cycles[-1] - cycles[-1 - design.outputs["o"].words_per_frame])
    for bytes_ in (4, 8, 16, 32, 64):
        rate = gcd(bytes_, word) if max(bytes_, word) % min(bytes_, word) else min(bytes_, word)
        if frame % bytes_ == 0 and rate * interval >= frame:
            return bytes_
    return word


class AxiTop(wiring.Component):
    """The AXI core of a :class:`Design`, with the names that integrators expect; all ports belong to ``aclk``, and
    ``aresetn`` is its synchronous reset.

    ``s_axis``: packets of pixels, ``m_axis``: packets of results (:class:`~.accelerator.Accelerator`); ``s_axil``:
    :data:`REGISTERS`. No output depends on an input of the same cycle.

    Parameters: ``design``; ``lanes``, bytes of an input beat; None: :func:`beat_bytes`.
    Raises PlanError where ``lanes`` or the design do not fit.
    """

    aclk: Signal
    aresetn: Signal

    def __init__(self, design: Design, lanes: int | None = None) -> None:
        check_outputs(design)
        self.design = design
        self.lanes = beat_bytes(design) if lanes is None else lanes
        shell = Accelerator(design, self.lanes)
        self.frame_bytes, self.result_words = shell.frame_bytes, shell.result_words
        self._shell = shell
        super().__init__(
            {
                "aclk": In(1),
                "aresetn": In(1),
                **_stream("s_axis", In, 8 * self.lanes),
                **_stream("m_axis", Out, 32),
                **_channel("s_axil_aw", In, addr=ADDRESS_BITS, prot=3),
                **_channel("s_axil_w", In, data=32, strb=4),
                **_channel("s_axil_b", Out, resp=2),
                **_channel("s_axil_ar", In, addr=ADDRESS_BITS, prot=3),
                **_channel("s_axil_r", Out, data=32, resp=2),
            }
        )

    def _values(self, accelerator: Accelerator, busy: Any, stalls_out: Signal) -> list[Any]:
        """What the registers read as, in the order of :data:`REGISTERS`."""
        network_hash = int(self.design.network.hash[:16], 16)
        found = {
            "identity": IDENTITY,
            "version": VERSION,
            "hash_low": network_hash & 0xFFFF_FFFF,
            "hash_high": network_hash >> 32,
            "control": 0,
            "status": busy,
            "frames": accelerator.frames,
            "errors": accelerator.errors,
            "stalls_in": accelerator.stalls_in,
            "stalls_out": stalls_out,
            "frame_bytes": self.frame_bytes,
            "result_words": self.result_words,
            "beat_bytes": self.lanes,
            "pixel_high": self.design.network.input.high,
        }
        return [found[register.name] for register in REGISTERS]

    def elaborate(self, platform: object) -> Module:
        """Return the circuit."""
        m = Module()
        m.domains.sync = domain = cast(Any, ClockDomain("sync"))
        m.d.comb += [domain.clk.eq(self.aclk), domain.rst.eq(~self.aresetn)]
        m.submodules.accelerator = accelerator = self._shell
        m.submodules.packet_end = end = PacketEnd()
        addresses = [[r.address for r in REGISTERS if r.access in kinds] for kinds in (("read", "write"), ("write",))]
        m.submodules.registers = registers = AxiLite(ADDRESS_BITS, *addresses)
        soft_reset = Signal()
        m.d.sync += soft_reset.eq(registers.strobes[0] & registers.data[0] & registers.enable[0])
        # The accelerator's own counter sees what its beats wait for this register.
        stalls_out = Signal(32)
        m.d.sync += stalls_out.eq(Mux(soft_reset, 0, stalls_out + (end.o.valid & ~end.o.ready)))
        values = self._values(accelerator, accelerator.busy | end.busy, stalls_out)
        m.d.comb += [
            accelerator.soft_reset.eq(soft_reset),
            end.cut.eq(soft_reset),
            *(registers.values[k].eq(value) for k, value in enumerate(values)),
        ]
        wiring.connect(m, accelerator.o, end.i)
        for prefix, names, inner in (
            ("s_axis_t", ("data", "last"), accelerator.i),
            ("s_axil_aw", ("addr",), registers.aw),
            ("s_axil_w", ("data", "strb"), registers.w),
            ("s_axil_ar", ("addr",), registers.ar),
        ):
            payload = Cat(getattr(self, prefix + name) for name in names)
            m.d.comb += [
                inner.valid.eq(getattr(self, f"{prefix}valid")),
                inner.payload.eq(payload),
                getattr(self, f"{prefix}ready").eq(inner.ready),
            ]
        for prefix, names, inner in (
            ("m_axis_t", ("data", "last"), end.o),
            ("s_axil_b", ("resp",), registers.b),
            ("s_axil_r", ("data", "resp"), registers.r),
        ):
            payload = Cat(getattr(self, prefix + name) for name in names)
            m.d.comb += [
                getattr(self, f"{prefix}valid").eq(inner.valid),
                payload.eq(inner.payload),
                inner.ready.eq(getattr(self, f"{prefix}ready")),
            ]
        return m


def _stream(prefix: str, flow: Any, width: int) -> dict[str, Any]:
    return _channel(f"{prefix}_t", flow, data=width, last=1)


def _channel(prefix: str, flow: Any, **parts: int) -> dict[str, Any]:
    """Members of a channel: what goes along ``flow``, and ``ready`` against it."""
    against = Out if flow is In else In
    members = {f"{prefix}{name}": flow(width) for name, width in {**parts, "valid": 1}.items()}
    return members | {f"{prefix}ready": against(1)}


def describe(top: AxiTop, name: str) -> dict[str, Any]:
    """The key ``axi`` of ``design.json`` except the hash of the Verilog; ``name`` of the module."""
    return {
        "top": name,
        "version": VERSION,
        "network_hash": top.design.network.hash[:16],
        "frame_bytes": top.frame_bytes,
        "beat_bytes": top.lanes,
        "result_words": top.result_words,
        "pixel_high": top.design.network.input.high,
        "ports": {name: member.shape for name, member in top.signature.members.items()},
        "registers": {r.name: {"address": r.address, "access": r.access, "text": r.text} for r in REGISTERS},
    }


def write(top: AxiTop, folder: str | Path, contents: dict[str, Any]) -> dict[str, Any]:
    """Write the AXI core beside the plain top level of its design; return ``contents`` of ``design.json``, which is
    written again, with the key ``axi``. Its module is called after the plain one, with ``_axi`` behind."""
    folder, name, file = Path(folder), f"{contents['top']}_axi", axi_file(contents["verilog"])
    library = Library()
    described = describe(top, name) | {"waiver": lint.waiver_file(file), "verilog": file}
    network = top.design.network.hash
    text = f"/* Spikeloom, network {network}, AXI */\n{axi_header(described, network)}{module(top, name, library)}"
    with replacing(folder / file) as path:
        path.write_text(text)
    with replacing(folder / lint.waiver_file(file)) as path:
        path.write_text(lint.waiver(file, text, library))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return write_contents(contents | {"axi": described | {"verilog_sha256": digest}}, folder)
