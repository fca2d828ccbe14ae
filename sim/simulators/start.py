"""Registers that start with anything: a copy of the Verilog of a design without their initial values.

One cycle of reset must do, whatever the registers held before. Memories keep their initial contents, for the padding of
a window is cells that are never written, and no reset writes them. A register with a random value could do so in the
edge of the first cycle of reset; nothing but the configuration of the device mends that, and it sets the registers
too. So the copy writes no memory in that one edge.
"""

from __future__ import annotations

import re

__all__ = ["without_initial_values"]

FIRST = "spikeloom_first_edge"

_NAME = r"(?:\\\S+ |\w+)"
_REGISTER = re.compile(rf"^(  (?:output )?reg (?:signed )?(?:\[\d+:\d+\] )?{_NAME}) = \d+'s?[bdh][0-9a-f]+;$", re.M)
_WRITE = re.compile(rf"^(    if \()(.*)(\)\n      {_NAME}\[.*\] <= )", re.M)


def without_initial_values(text: str, top: str) -> str:
    """The Verilog ``text`` of module ``top`` and its parts, as the generator writes it, with registers that have no
    initial value, and no write to a memory in the first edge of the clock. Other lines stay as they are."""
    text = _REGISTER.sub(r"\1;", text)
    text, writes = _WRITE.subn(rf"\1!{top}.{FIRST} && (\2)\3", text)
    start = re.search(rf"^module {re.escape(top)}\b", text, re.M)
    if not writes or start is None:
        return text
    end = text.index("\nendmodule", start.end())
    register = f"\n  reg {FIRST} = 1'b1;\n  always @(posedge clk) {FIRST} <= 1'b0;"
    return text[:end] + register + text[end:]
