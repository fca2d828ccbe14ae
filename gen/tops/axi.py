"""A design as an AXI core: AXI4-Stream for pixels, results and maps, AXI4-Lite for its registers."""

from __future__ import annotations

import hashlib
from functools import reduce
from math import gcd
from operator import or_
from pathlib import Path
from typing import Any, cast

from amaranth.hdl import Cat, ClockDomain, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...hdl.host.axi_lite import AxiLite
from ...hdl.host.axi_stream import PacketEnd
from ...hdl.host.maps import MapForm
from ...hdl.verilog.library import Library
from ...quant.files.replacing import replacing
from ..design import Design
from ..emit import lint
from ..emit.integrate.axi_core import axi_header
from ..emit.integrate.layout import word_order
from ..emit.names import axi_file
from ..emit.writer import module, write_contents
from .accelerator import Accelerator, check_outputs
from .axi_registers import ADDRESS_BITS, IDENTITY, MAP_VERSION, VERSION, registers_of

__all__ = ["AxiTop", "beat_bytes", "write"]

def beat_bytes(design: Design) -> int:
    """Bytes of an input beat for ``design``: 4 or a higher power of two that divides a frame, the smallest that keeps
    up with the design; where there is none, the pixels of the design's input word."""
    entry = design.boundaries[0]
    word, frame = entry.format.lanes, entry.words_per_frame * entry.format.lanes
    runs = [(design.free_run.transfers[b.name], b.words_per_frame) for b in design.outputs.values()]
    interval = max(int(cycles[-1] - cycles[-1 - words]) for cycles, words in runs)
    for bytes_ in (4, 8, 16, 32, 64):
        rate = gcd(bytes_, word) if max(bytes_, word) % min(bytes_, word) else min(bytes_, word)
        if frame % bytes_ == 0 and rate * interval >= frame:
            return bytes_
    return word


class AxiTop(wiring.Component):
    """The AXI core of a :class:`Design`, with the names that integrators expect; all ports belong to ``aclk``, and
    ``aresetn`` is its synchronous reset.

    ``s_axis``: packets of pixels, ``m_axis``: packets of results, ``m_axis_NAME``: packets of the map NAME
    (:class:`~.accelerator.Accelerator`), whose TUSER is high with the end of one that a soft reset has cut; ``s_axil``:
    the registers. No output depends on an input of the same cycle.

    Parameters: ``design``; ``lanes``, bytes of an input beat; None: :func:`beat_bytes`.
    Attributes: ``maps``, the forms of the maps by NAME; ``registers``.
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
        self.maps = {port.removeprefix("o_"): form for port, form in shell.maps.items()}
        self.registers = registers_of(list(self.maps))
        maps: dict[str, Any] = {}
        for name, form in self.maps.items():
            maps |= _channel(f"m_axis_{name}_t", Out, data=form.width, last=1, user=1)
        super().__init__(
            {
                "aclk": In(1),
                "aresetn": In(1),
                **_stream("s_axis", In, 8 * self.lanes),
                **_stream("m_axis", Out, 32),
                **maps,
                **_channel("s_axil_aw", In, addr=ADDRESS_BITS, prot=3),
                **_channel("s_axil_w", In, data=32, strb=4),
                **_channel("s_axil_b", Out, resp=2),
                **_channel("s_axil_ar", In, addr=ADDRESS_BITS, prot=3),
                **_channel("s_axil_r", Out, data=32, resp=2),
            }
        )

    def _values(self, accelerator: Accelerator, busy: Any, stalls_out: Signal, stalls_maps: Signal) -> list[Any]:
        """What the registers read as, in their order."""
        network_hash = int(self.design.network.hash[:16], 16)
        found = {
            "identity": IDENTITY,
            "version": MAP_VERSION if self.maps else VERSION,
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
            "maps": len(self.maps),
            "stalls_maps": stalls_maps,
        }
        for name, form in self.maps.items():
            found |= {f"words_{name}": form.words, f"bytes_{name}": form.width // 8}
        return [found[register.name] for register in self.registers]

    def elaborate(self, platform: object) -> Module:
        """Return the circuit."""
        m = Module()
        m.domains.sync = domain = cast(Any, ClockDomain("sync"))
        m.d.comb += [domain.clk.eq(self.aclk), domain.rst.eq(~self.aresetn)]
        m.submodules.accelerator = accelerator = self._shell
        m.submodules.packet_end = end = PacketEnd()
        addresses = [[r.address for r in self.registers if r.access in kinds]
                     for kinds in (("read", "write"), ("write",))]
        m.submodules.registers = registers = AxiLite(ADDRESS_BITS, *addresses)
        soft_reset = Signal()
        m.d.sync += soft_reset.eq(registers.strobes[0] & registers.data[0] & registers.enable[0])
        # The accelerator's own counter sees what its beats wait for this register.
        stalls_out = Signal(32)
        m.d.sync += stalls_out.eq(Mux(soft_reset, 0, stalls_out + (end.o.valid & ~end.o.ready)))
        ends = self._map_ends(m, soft_reset)
        stalls_maps = Signal(32)
        if ends:
            stall = reduce(or_, (each.o.valid & ~each.o.ready for each in ends.values()))
            m.d.sync += stalls_maps.eq(Mux(soft_reset, 0, stalls_maps + stall))
        busy = reduce(or_, (each.busy for each in ends.values()), accelerator.busy | end.busy)
        values = self._values(accelerator, busy, stalls_out, stalls_maps)
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
            *((f"m_axis_{name}_t", ("data", "last", "user"), each.o) for name, each in ends.items()),
        ):
            payload = Cat(getattr(self, prefix + name) for name in names)
            m.d.comb += [
                getattr(self, f"{prefix}valid").eq(inner.valid),
                payload.eq(inner.payload),
                inner.ready.eq(getattr(self, f"{prefix}ready")),
            ]
        return m

    def _map_ends(self, m: Module, soft_reset: Signal) -> dict[str, PacketEnd]:
        """A register for the packets of every map, by its name."""
        found = {}
        for (name, form), out in zip(self.maps.items(), self._shell.map_outs.values(), strict=True):
            m.submodules[f"{name}_end"] = found[name] = PacketEnd(form.width)
            wiring.connect(m, out, found[name].i)
            m.d.comb += found[name].cut.eq(soft_reset)
        return found


def _stream(prefix: str, flow: Any, width: int) -> dict[str, Any]:
    return _channel(f"{prefix}_t", flow, data=width, last=1)


def _channel(prefix: str, flow: Any, **parts: int) -> dict[str, Any]:
    """Members of a channel: what goes along ``flow``, and ``ready`` against it."""
    against = Out if flow is In else In
    members = {f"{prefix}{name}": flow(width) for name, width in {**parts, "valid": 1}.items()}
    return members | {f"{prefix}ready": against(1)}


def describe(top: AxiTop, name: str) -> dict[str, Any]:
    """The key ``axi`` of ``design.json`` except the hash of the Verilog; ``name`` of the module."""
    maps = [_map(top, port, form) for port, form in top.maps.items()]
    return {
        "top": name,
        "version": MAP_VERSION if maps else VERSION,
        "network_hash": top.design.network.hash[:16],
        "frame_bytes": top.frame_bytes,
        "beat_bytes": top.lanes,
        "result_words": top.result_words,
        "pixel_high": top.design.network.input.high,
        **({"maps": maps} if maps else {}),
        "ports": {name: member.shape for name, member in top.signature.members.items()},
        "registers": {r.name: {"address": r.address, "access": r.access, "text": r.text} for r in top.registers},
    }


def _map(top: AxiTop, name: str, form: MapForm) -> dict[str, Any]:
    """What there is to know of the stream of a map."""
    boundary = top.design.outputs[f"o_{name}"]
    shape = top.design.network.signals[boundary.node].shape
    return {"name": name, "node": boundary.node, "stream": f"m_axis_{name}", "lanes": form.form.lanes,
            "bits": form.bits, "low": form.form.low, "high": form.form.high, "words_per_frame": form.words,
            "word_bytes": form.width // 8, "shape": list(shape), "order": word_order(shape, form.form.lanes)[0]}


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
