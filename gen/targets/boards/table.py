"""The boards. Pins, oscillators and parts come from amaranth-boards; what is here says how a bitstream is made."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from ....quant.extras import missing

__all__ = ["BOARDS", "Board", "BoardError", "board"]

Flow = Literal["ice40", "ecp5", "gowin", "vivado", "quartus"]


class BoardError(ValueError):
    """A board is unknown, or a design cannot be built for it; the message says which and what to do."""


@dataclass(frozen=True)
class Board:
    """A board.

    ``name`` on the command line; ``title``; ``platform``, its class in amaranth-boards; ``part``, as its maker calls
    it; ``flow``, the tools that make its bitstream: nextpnr for the first three, else a project for the maker's;
    ``nextpnr``, its options for the part; ``goal_mhz``, asked for in the first place and route; ``pll``, the family of
    its PLL in ``gen.targets.fpga.pll``, None where the oscillator is used as it is; ``program``, a command, with
    ``{file}``; ``device``, its name in ``gen.targets.fpga.devices``, None where the search for folds knows no such
    device; ``multipliers``, those of the part that take 16 x 16 bits or more; ``dsp``, how many of them the search may
    use where ``build --dsp`` does not say it. Raises BoardError where ``dsp`` is no such number.
    """

    name: str
    title: str
    platform: str
    part: str
    flow: Flow
    goal_mhz: float
    pll: str | None
    program: str
    nextpnr: tuple[str, ...] = ()
    device: str | None = None
    multipliers: int = 0
    dsp: int = 0

    def __post_init__(self) -> None:
        self.checked_dsp(self.dsp)

    def checked_dsp(self, dsp: int | None) -> int:
        """Multipliers that the search may use: ``dsp``, or where that is None as many as the board says. Raises
        BoardError where it is no number of those that the part has."""
        if dsp is None:
            return self.dsp
        if type(dsp) is not int or not 0 <= dsp <= self.multipliers:
            raise BoardError(
                f"{self.name}: dsp={dsp!r} is no number of the {self.multipliers} multipliers of its {self.part}; "
                f"choose one from 0 to {self.multipliers}"
            )
        return dsp

    @property
    def built(self) -> bool:
        """Whether a bitstream is made here, not a project for the maker's tools."""
        return self.flow in ("ice40", "ecp5", "gowin")

    def open(self) -> Any:
        """A new platform of amaranth-boards; each is good for one design."""
        if importlib.util.find_spec("amaranth_boards") is None:
            raise BoardError(missing("amaranth_boards"))
        module, _, name = self.platform.partition(":")
        return getattr(importlib.import_module(module), name)()

    @property
    def oscillator_mhz(self) -> Fraction:
        """Frequency of the board's oscillator."""
        return Fraction(self.open().default_clk_frequency) / 1_000_000


_ULX3S = "amaranth_boards.ulx3s:ULX3S_{}_Platform"
_ULX3S_PROGRAM = "openFPGALoader -b ulx3s {file}"

BOARDS = {
    board.name: board
    for board in (
        Board(
            "icebreaker", "iCEBreaker", "amaranth_boards.icebreaker:ICEBreakerPlatform", "iCE40UP5K-SG48", "ice40", 48,
            "ice40", "iceprog {file}", ("--up5k", "--package", "sg48"), multipliers=8,
        ),
        Board(
            "ulx3s-25f", "ULX3S 25F", _ULX3S.format("25F"), "LFE5U-25F-6BG381C", "ecp5", 100, "ecp5", _ULX3S_PROGRAM,
            ("--25k", "--package", "CABGA381", "--speed", "6"), "ecp5-25k", 28,
        ),
        Board(
            "ulx3s-85f", "ULX3S 85F", _ULX3S.format("85F"), "LFE5U-85F-6BG381C", "ecp5", 100, "ecp5", _ULX3S_PROGRAM,
            ("--85k", "--package", "CABGA381", "--speed", "6"), "ecp5-85k", 156,
        ),
        Board(
            "tang-nano-9k", "Tang Nano 9K", "amaranth_boards.tang_nano_9k:TangNano9kPlatform", "GW1NR-LV9QN88PC6/I5",
            "gowin", 27, None, "openFPGALoader -b tangnano9k {file}",
            ("--device", "GW1NR-LV9QN88PC6/I5", "--vopt", "family=GW1N-9C"), multipliers=20,
        ),
        Board(
            "arty-a7-35t", "Arty A7-35T", "amaranth_boards.arty_a7:ArtyA7_35Platform", "XC7A35TICSG324-1L", "vivado",
            50, "xc7", "openFPGALoader -b arty_a7_35t {file}", multipliers=90,
        ),
        Board(
            "de10-nano", "DE10-Nano", "amaranth_boards.de10_nano:DE10NanoPlatform", "5CSEBA6U23I7", "quartus", 50, None,
            'quartus_pgm --mode=jtag --operation="p;{file}@2"', multipliers=224,
        ),
    )
}
"""The boards by name."""


def board(name: str) -> Board:
    """The board of that name. Raises BoardError where there is none."""
    if name not in BOARDS:
        raise BoardError(f"board must be one of {', '.join(BOARDS)}, not {name!r}")
    return BOARDS[name]
