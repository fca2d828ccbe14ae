"""A design behind a serial line: the top level of boards."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...hdl.host.link import LinkCore, LinkMap, LinkSpec
from ...hdl.host.maps import MapForm
from ...hdl.host.uart import BitRate
from ..design import Design
from ..emit.writer import module
from ..errors import PlanError
from .accelerator import Accelerator, check_outputs, map_forms

__all__ = ["TOP", "LinkTop", "link_spec", "verilog"]

TOP = "spikeloom_link"
"""Name of the top module."""


def link_spec(design: Design, clock_hz: float, baud: float) -> LinkSpec:
    """What the link of ``design`` tells of itself. Raises PlanError where the rates or the design do not fit a link."""
    check_outputs(design)
    shape = design.network.input.shape
    try:
        return LinkSpec(
            rate=BitRate(clock_hz, baud),
            network_hash=bytes.fromhex(design.network.hash)[:8],
            frame_bytes=shape[0] * shape[1] * shape[2],
            input_high=design.network.input.high,
            classes=design.network.classes,
            maps=tuple(_map(design, port, form) for port, form in map_forms(design).items()),
        )
    except ValueError as error:
        raise PlanError(f"Link: {error}") from None


def _map(design: Design, port: str, form: MapForm) -> LinkMap:
    return LinkMap(design.network.signals[design.outputs[port].node].shape, form.bits // 8, form.width // 8)


class LinkTop(wiring.Component):
    """``design`` with a serial port; ``docs/link.md`` is the protocol.

    Parameters: ``clock_hz``, frequency of the domain ``sync``; ``baud``, bits a second on the line, a quarter of the
    clock at most. Members: ``rx``: In(1), not synchronised; ``tx``: Out(1); ``busy``: Out(1), something is under way;
    ``error``: Out(1), the last frame was dropped; ``heartbeat``: Out(1), changes about every half second.
    Raises PlanError where the rates or the design do not fit a link.
    """

    rx: Signal
    tx: Signal
    busy: Signal
    error: Signal
    heartbeat: Signal

    def __init__(self, design: Design, clock_hz: float, baud: float) -> None:
        self.design = design
        self.spec = link_spec(design, clock_hz, baud)
        leds = dict.fromkeys(("busy", "error", "heartbeat"), Out(1))
        super().__init__({"rx": In(1), "tx": Out(1), **leds})

    def elaborate(self, platform: object) -> Module:
        """Return the circuit."""
        m = Module()
        m.submodules.link = link = LinkCore(self.spec)
        m.submodules.accelerator = accelerator = Accelerator(self.design, lanes=1)
        wiring.connect(m, link.pixels, accelerator.i)
        wiring.connect(m, accelerator.o, link.results)
        for out, taker in zip(accelerator.map_outs.values(), link.maps, strict=True):
            wiring.connect(m, out, taker)
        beat = Signal(max(1, round(self.spec.rate.clock_hz / 2 - 1).bit_length()))
        m.d.sync += beat.eq(beat + 1)
        m.d.comb += [
            link.rx.eq(self.rx),
            self.tx.eq(link.tx),
            accelerator.soft_reset.eq(link.soft_reset),
            link.frames.eq(accelerator.frames[:16]),
            self.busy.eq(link.busy),
            self.error.eq(link.error),
            self.heartbeat.eq(beat[-1]),
        ]
        return m


def verilog(design: Design, clock_hz: float, baud: float) -> str:
    """Return the Verilog of the :class:`LinkTop` of ``design``, module :data:`TOP`."""
    return f"/* Spikeloom, network {design.network.hash}, with a serial port */\n" + module(
        LinkTop(design, clock_hz, baud), TOP
    )
