"""The clock as constraints: XDC (Vivado), SDC (Quartus, OpenSTA and others), LPF (nextpnr and Diamond for Lattice)."""

from __future__ import annotations

__all__ = ["constraints"]


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
