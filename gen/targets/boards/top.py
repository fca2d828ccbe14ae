"""The top level of a board: a design's UART, LEDs and reset on the board's pins, its clock from the board's PLL.

The design is a Verilog module of its own, written with the library of ``hdl``; the top level is elaborated with the
board's platform, which knows the pins and brings the cells for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Instance, Module, ResetSignal, Signal
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer

from ..fpga import pll as plls
from .pins import leds
from .table import Board

__all__ = ["NAME", "BoardTop", "Clock", "clock_below", "files"]

NAME = "spikeloom_board"
"""Name of the top level."""

WAIT = 1024
"""Cycles of the oscillator that a design is held in reset for where there is no PLL to wait for: block RAMs of an iCE40
read as zeros in the first microseconds."""


@dataclass(frozen=True)
class Clock:
    """A design's clock: ``mhz``; ``pll``, None where it is the board's oscillator."""

    mhz: Fraction
    pll: plls.Pll | None

    @property
    def hz(self) -> int:
        """The frequency, rounded to 1 Hz."""
        return round(self.mhz * 1_000_000)


def clock_below(board: Board, limit: float | Fraction) -> Clock:
    """The fastest clock of at most ``limit`` MHz. Raises PllError where even the slowest is faster."""
    source = board.oscillator_mhz
    slow = Clock(source, None)
    if board.pll is None:
        if source > limit:
            raise plls.PllError(f"{board.name}: its clock is that of its oscillator, {float(source):g} MHz, no PLL is "
                                f"used there; {float(limit):g} MHz is less")
        return slow
    try:
        found = plls.slower(board.pll, source, limit)
    except plls.PllError:
        if source > limit:
            raise
        return slow
    return Clock(found.mhz, found) if found.mhz != source else slow


class BoardTop(Elaboratable):
    """A design, the module of that name with ports clk, rst, rx, tx and those of ``pins.LEDS``, on ``board``.

    Its clock is ``clock``. The design is in reset until the PLL has locked and while the button is pressed.
    """

    def __init__(self, board: Board, clock: Clock, design: str) -> None:
        self.board, self.clock, self.design = board, clock, design

    def elaborate(self, platform: Any) -> Module:
        """Return the circuit."""
        m = Module()
        m.domains.sync = ClockDomain()
        ready = Signal()
        oscillator = platform.request(platform.default_clk, 0, dir="-")
        if self.clock.pll is None:
            m.submodules.clock = buffer = io.Buffer(io.Direction.Input, oscillator)
            m.d.comb += ClockSignal().eq(buffer.i)
            m.domains.start = ClockDomain(reset_less=True, local=True)
            m.d.comb += ClockSignal("start").eq(buffer.i)
            waited = Signal(range(WAIT))
            m.d.start += waited.eq(waited + ~waited.all())
            m.d.comb += ready.eq(waited.all())
        elif self.clock.pll.family == "ice40":
            # The pin belongs to the loop: it can be nothing else then.
            m.submodules.pll = plls.instance(self.clock.pll, oscillator.io, ClockSignal(), ready)
        else:
            m.submodules.clock = buffer = io.Buffer(io.Direction.Input, oscillator)
            made = Signal()
            m.submodules.pll = plls.instance(self.clock.pll, buffer.i, made, ready)
            if self.clock.pll.family == "xc7":
                m.submodules.net = Instance("BUFG", i_I=made, o_O=ClockSignal())
            else:
                m.d.comb += ClockSignal().eq(made)
        m.submodules.button = button = io.Buffer(io.Direction.Input, platform.request("button", 0, dir="-"))
        m.submodules.reset = ResetSynchronizer(~ready | button.i)

        uart = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer(io.Direction.Input, uart.rx)
        m.submodules.tx = tx = io.Buffer(io.Direction.Output, uart.tx)
        outputs = {}
        for k, signal in enumerate(leds(platform)):
            m.submodules[f"led{k}"] = led = io.Buffer(io.Direction.Output, platform.request("led", k, dir="-"))
            outputs[f"o_{signal}"] = led.o
        m.submodules.design = Instance(
            self.design, i_clk=ClockSignal(), i_rst=ResetSignal(), i_rx=rx.i, o_tx=tx.o, **outputs
        )
        return m


def files(board: Board, clock: Clock, design: str, verilog: str) -> dict[str, str]:
    """The project of ``design``, module of that name in ``verilog``, on ``board``: texts by file name.

    ``spikeloom_board.il``, the top level in RTLIL; ``<design>.v``; and what the flow of the board takes beside them, as
    amaranth-boards and Amaranth's platforms write it: ``.pcf`` (iCE40), ``.lpf`` (ECP5), ``.cst`` (Gowin), ``.xdc`` and
    ``.tcl`` (Vivado), ``.qsf`` and ``.sdc`` (Quartus).
    """
    platform = _without_tools(board.open())
    platform.add_file(f"{design}.v", verilog)
    plan = platform.prepare(BoardTop(board, clock, design), NAME, emit_src=False)
    texts = {name: text if isinstance(text, str) else text.decode() for name, text in plan.files.items()}
    # A line of a template's that nobody filled in.
    return {name: "".join(line for line in text.splitlines(keepends=True) if "placeholder)" not in line)
            for name, text in texts.items()}


def _without_tools(platform: Any) -> Any:
    """``platform`` with the files of a project that need no Yosys of Amaranth's own: the top level stays RTLIL."""
    kept = (".pcf", ".lpf", ".cst", ".xdc", ".tcl", ".qsf", ".sdc")
    templates = {name: text for name, text in platform.file_templates.items() if name.endswith(kept)}
    templates["{{name}}.il"] = "# {{autogenerated}}\n{{emit_rtlil()}}\n"
    platform.__class__ = type(type(platform).__name__, (type(platform),), {"file_templates": templates})
    return platform
