"""The clock as constraints: XDC (Vivado), SDC (Quartus, OpenSTA and others), LPF (nextpnr and Diamond for Lattice)."""

from __future__ import annotations

from math import isfinite

from ...errors import PlanError

__all__ = ["check_clock", "constraints"]

SLOWEST, FASTEST = 0.001, 10_000
"""MHz of a clock, of which the period can be written in nanoseconds with four places."""


def check_clock(megahertz: float) -> None:
    """Raise PlanError where a clock cannot be written as a constraint."""
    if not isfinite(megahertz) or not SLOWEST <= megahertz <= FASTEST:
        raise PlanError(f"The clock must be {SLOWEST} to {FASTEST:,} MHz, not {megahertz:g}")


def constraints(top: str, clock: str, megahertz: float) -> dict[str, str]:
    """Texts by file ending for the port ``clock`` of ``top`` at ``megahertz``."""
    period = 1000 / megahertz
    what = f"The clock of {top}: {megahertz:g} MHz. Leave this file out where a larger design has the clock already."
    tcl = f"# {what}\ncreate_clock -name {clock} -period {period:.4f} [get_ports {clock}]\n"
    return {
        "xdc": tcl,
        "sdc": tcl,
        "lpf": f'# {what}\nFREQUENCY PORT "{clock}" {megahertz:.4f} MHZ;\n',
    }
