"""Clocks that a phase-locked loop makes of a board's oscillator: its settings, and its instance with a reset.

Every loop divides its input (``reference``), multiplies it to the frequency of its own oscillator (``vco``) and divides
that for the output. The limits are those of the data sheets: iCE40 UltraPlus (FPGA-DS-02008, sysCLOCK PLL), ECP5
(FPGA-DS-02012, sysCLOCK PLL) and Artix-7 (DS181, PLL switching characteristics, speed grade -1). Frequencies are exact
fractions of MHz.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

from amaranth.hdl import Instance, IOValue, Signal, Value

__all__ = ["FAMILIES", "Pll", "PllError", "instance", "settings", "slower"]

FAMILIES = ("ice40", "ecp5", "xc7")
"""Families of devices whose loops are known here."""

# Range of input, phase detector, own oscillator and output, in MHz.
_LIMITS = {
    "ice40": ((10, 133), (10, 133), (533, 1066), (16, 275)),
    "ecp5": ((8, 400), (Fraction(25, 8), 400), (400, 800), (10, 400)),
    "xc7": ((19, 800), (19, 450), (800, 1600), (Fraction(25, 4), 400)),
}

# Up to which frequency of the phase detector each FILTER_RANGE of an iCE40 is meant.
_FILTERS = (17, 26, 44, 66, 101)


class PllError(ValueError):
    """No setting makes such a clock."""


@dataclass(frozen=True)
class Pll:
    """A setting: ``family``; ``input_mhz``; the divider ``reference`` of the input, ``feedback``, the whole factor from
    the divided input to the output (ECP5) or to the loop's own oscillator (the others), and ``output``, the divider
    behind that oscillator."""

    family: str
    input_mhz: Fraction
    reference: int
    feedback: int
    output: int

    @property
    def detector_mhz(self) -> Fraction:
        """What the phase detector compares."""
        return self.input_mhz / self.reference

    @property
    def vco_mhz(self) -> Fraction:
        """Frequency of the loop's own oscillator; on ECP5 the output is fed back, so its divider is in the loop."""
        return self.detector_mhz * self.feedback * (self.output if self.family == "ecp5" else 1)

    @property
    def mhz(self) -> Fraction:
        """The clock that is made."""
        return self.vco_mhz / self.output

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the device's cell, as its library names them."""
        if self.family == "ice40":
            return {
                "FEEDBACK_PATH": "SIMPLE",
                "DIVR": self.reference - 1,
                "DIVF": self.feedback - 1,
                "DIVQ": self.output.bit_length() - 1,
                "FILTER_RANGE": 1 + sum(self.detector_mhz >= top for top in _FILTERS),
            }
        if self.family == "ecp5":
            return {
                "CLKI_DIV": self.reference,
                "CLKFB_DIV": self.feedback,
                "CLKOP_DIV": self.output,
                "CLKOP_CPHASE": self.output // 2,
                "CLKOP_FPHASE": 0,
                "CLKOP_ENABLE": "ENABLED",
                "FEEDBK_PATH": "CLKOP",
                "PLLRST_ENA": "DISABLED",
                "INTFB_WAKE": "DISABLED",
                "STDBY_ENABLE": "DISABLED",
                "DPHASE_SOURCE": "DISABLED",
            }
        return {
            "CLKIN1_PERIOD": float(1000 / self.input_mhz),
            "DIVCLK_DIVIDE": self.reference,
            "CLKFBOUT_MULT": self.feedback,
            "CLKOUT0_DIVIDE": self.output,
        }


def _all(family: str, source: Fraction) -> Iterator[Pll]:
    inputs, detector, vco, out = _LIMITS[family]
    if not inputs[0] <= source <= inputs[1]:
        return
    outputs = {"ice40": [1 << k for k in range(1, 7)], "ecp5": range(1, 129), "xc7": range(1, 129)}[family]
    references = {"ice40": 16, "ecp5": 128, "xc7": 56}[family]
    feedbacks = {"ice40": range(1, 129), "ecp5": range(1, 81), "xc7": range(2, 65)}[family]
    for reference in range(1, references + 1):
        if not detector[0] <= source / reference <= detector[1]:
            continue
        for feedback in feedbacks:
            made = source / reference * feedback  # the output on ECP5, else the loop's own oscillator
            low, high = out if family == "ecp5" else vco
            if not low <= made <= high:
                continue
            for output in outputs:
                both = (made * output, made) if family == "ecp5" else (made, made / output)
                if vco[0] <= both[0] <= vco[1] and out[0] <= both[1] <= out[1]:
                    yield Pll(family, source, reference, feedback, output)


@cache
def settings(family: str, input_mhz: Fraction) -> tuple[Pll, ...]:
    """All clocks that ``family`` can make of ``input_mhz``, from slow to fast, each by its best setting.

    The best is the one with the smallest reference divider (the least jitter), of those the one whose oscillator is
    nearest to the middle of its range; on an iCE40, where they double, the slowest.
    """
    if family not in FAMILIES:
        raise PllError(f"Family must be one of {', '.join(FAMILIES)}, not {family!r}")
    middle = Fraction(sum(_LIMITS[family][2]), 2) if family != "ice40" else Fraction(0)
    best: dict[Fraction, Pll] = {}
    for made in _all(family, input_mhz):
        known = best.get(made.mhz)
        if known is None or _rank(made, middle) < _rank(known, middle):
            best[made.mhz] = made
    return tuple(best[mhz] for mhz in sorted(best))


def _rank(made: Pll, middle: Fraction) -> tuple:
    return made.reference, abs(made.vco_mhz - middle)


def slower(family: str, input_mhz: Fraction, limit: float | Fraction) -> Pll:
    """The fastest clock of at most ``limit`` MHz. Raises PllError where all are faster, or there are none."""
    found = settings(family, input_mhz)
    fitting = [made for made in found if made.mhz <= limit]
    if not found:
        raise PllError(f"{family}: its PLL takes no clock of {float(input_mhz):g} MHz")
    if not fitting:
        raise PllError(
            f"{family}: the slowest clock that its PLL makes of {float(input_mhz):g} MHz is "
            f"{float(found[0].mhz):g} MHz, more than {float(limit):g} MHz"
        )
    return fitting[-1]


def instance(pll: Pll, source: Value | IOValue, clock: Value, locked: Value) -> Instance:
    """The device's cell: ``source`` is the pin itself on an iCE40 whose pin belongs to the loop, else a signal.

    ``clock`` is the output, on a global net where the device has such cells, ``locked`` is high once it is stable; a
    design must be held in reset until then.
    """
    parameters = [("p", key, value) for key, value in pll.parameters.items()]
    if pll.family == "ice40":
        pad = isinstance(source, IOValue)
        return Instance(
            "SB_PLL40_PAD" if pad else "SB_PLL40_CORE",
            *parameters,
            ("i", "PACKAGEPIN" if pad else "REFERENCECLK", source),
            ("o", "PLLOUTGLOBAL", clock),
            ("o", "LOCK", locked),
            i_RESETB=1,
            i_BYPASS=0,
        )
    if pll.family == "ecp5":
        return Instance(
            "EHXPLLL",
            *parameters,
            ("i", "CLKI", source),
            ("i", "CLKFB", clock),
            ("o", "CLKOP", clock),
            ("o", "LOCK", locked),
            # Of nextpnr, which derives the clock's constraint from them, and of the loop's filter.
            a_FREQUENCY_PIN_CLKI=f"{float(pll.input_mhz):g}",
            a_FREQUENCY_PIN_CLKOP=f"{float(pll.mhz):.6f}",
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            i_RST=0,
            i_STDBY=0,
            i_PHASESEL0=0,
            i_PHASESEL1=0,
            i_PHASEDIR=1,
            i_PHASESTEP=1,
            i_PHASELOADREG=1,
            i_PLLWAKESYNC=0,
            i_ENCLKOP=0,
        )
    back = Signal()
    return Instance(
        "PLLE2_BASE",
        *parameters,
        ("i", "CLKIN1", source),
        ("i", "CLKFBIN", back),
        ("o", "CLKFBOUT", back),
        ("o", "CLKOUT0", clock),
        ("o", "LOCKED", locked),
        i_RST=0,
        i_PWRDWN=0,
    )
