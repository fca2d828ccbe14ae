"""Verilog of read-only memories as a case statement: logic for synthesis, the model of a macro for simulation.

Ports of both: ``clk``; ``addr``; ``data``, the word at the address of one cycle ago. An address past the last word
gives that one, so that nothing is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["hex_text", "table_text"]


def table_text(name: str, words: Sequence[int], width: int, macro: bool) -> str:
    """Return module ``name``; with ``macro`` it is left out where SPIKELOOM_MACROS is defined."""
    address = max(1, (len(words) - 1).bit_length())
    cases = "".join(f"      {address}'d{k}: data <= {width}'h{word:x};\n" for k, word in enumerate(words[:-1]))
    body = f"data <= {width}'h{words[-1]:x};\n"
    if len(words) > 1:
        body = f"case (addr)\n{cases}      default: {body}    endcase\n"
    module = (
        f"module {name} (clk, addr, data);\n  input clk;\n  input [{address - 1}:0] addr;\n"
        f"  output reg [{width - 1}:0] data;\n  always @(posedge clk)\n    {body}endmodule\n"
    )
    return f"`ifndef SPIKELOOM_MACROS\n{module}`endif\n" if macro else module


def hex_text(words: Sequence[int], width: int) -> str:
    """Return the contents of a ROM, a word a line, as ``$readmemh`` and ROM compilers read them."""
    return "".join(f"{word:0{-(-width // 4)}x}\n" for word in words)
