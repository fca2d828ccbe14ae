"""Waivers for Verilator's lint of the written Verilog: which rules it breaks, and why that is meant.

The modules written by hand, at the end of the file, need none: a waiver ends where they begin.
"""

from __future__ import annotations

from ...hdl.verilog.library import Library, is_asic

__all__ = ["RULES", "waiver", "waiver_file"]

_OF_FILE = {"DECLFILENAME": "one file holds all modules of a design"}
_ALWAYS = {
    "UNUSEDSIGNAL": "wires keep the names of streams and of their parts, and carries above a sum are not used",
}
_FPGA = {
    "PROCASSINIT": "registers start with their reset value, as the configuration of an FPGA sets them",
    "WIDTHEXPAND": "narrow operands are extended by the rules of the language; results are as wide as their ranges",
    "WIDTHTRUNC": "a logical test of a vector, or a shift of which the lower bits are the result",
    "CASEOVERLAP": "choices are one-hot, of which Yosys writes each as a casez of one bit",
    "CMPCONST": "a comparison that a narrow range decides, which synthesis takes away",
}
RULES = _OF_FILE | _ALWAYS | _FPGA
"""Rules that generated Verilog may break, and the reason of each."""


def waiver_file(verilog: str) -> str:
    """The waiver's file beside the file ``verilog``."""
    return f"{verilog.removesuffix('.v')}.vlt"


def waiver(file: str, verilog: str, library: Library) -> str:
    """Return the control file for Verilator that waives :data:`RULES` in ``file``, whose text is ``verilog`` with the
    modules of ``library`` at its end."""
    last = verilog.removesuffix(library.text).count("\n")
    lines = [
        "`verilator_config",
        f"// For: verilator --lint-only -Wall {waiver_file(file)} {file}",
        "// The modules written by hand at the end of the file need no waiver.",
    ]
    rules = _OF_FILE | _ALWAYS | ({} if is_asic(library) else _FPGA)
    for rule, reason in rules.items():
        where = "" if rule in _OF_FILE else f" -lines 1-{last}"
        lines += [f"// {reason}", f'lint_off -rule {rule} -file "*{file}"{where}']
    return "\n".join(lines) + "\n"
