"""Texts on a design that several artefacts share: ports in words, and the comment at the head of the Verilog."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from .layout import Port

__all__ = ["header", "signals"]


def signals(ports: Sequence[Port]) -> list[tuple[str, bool, int, str]]:
    """(name, whether it is an output, width, meaning) of all ports, in the order in which people read them."""
    found = [
        ("clk", False, 1, "clock; everything happens at its rising edge"),
        ("rst", False, 1, "synchronous reset, active high; one cycle is enough"),
    ]
    for port in ports:
        name, out = port.name, port.output
        found += [
            (f"{name}__valid", out, 1, "a word is offered; it stays until it is taken"),
            (f"{name}__ready", not out, 1, "the word is taken at the next edge if it is valid"),
            (f"{name}__payload", out, port.width, "the word, while valid"),
        ]
        if out:
            found.append((f"{name}__last", True, 1, "while valid: the word is the last one of its frame"))
    return found


def header(ports: Sequence[Port], contents: Mapping[str, Any]) -> str:
    """The comment that explains every port of the Verilog."""
    predicted, network = contents["predicted"], contents["network"]
    lines = [
        f"Network {network['hash'][:16]}, T = {network['steps']}, {_gives(network)}.",
        f"A frame every {predicted['interval_cycles']:,} cycles, if nothing waits; the last word of the first one is",
        f"there after {predicted['latency_cycles']:,} cycles.",
        "A word moves in a cycle in which valid and ready are both high. Frames follow each other without a mark:",
        "words are counted from the reset on.",
        "",
    ]
    for name, out, width, text in signals(ports):
        size = f"[{width - 1}:0]" if width > 1 else ""
        lines.append(f"{'output' if out else 'input':6} {name:20} {size:8} {text}")
    for port in ports:
        lines += ["", f"{port.name}__payload: {port.words:,} words a frame; {port.order}"]
        for field in port.fields:
            place = f"[{field.low + field.width - 1}:{field.low}]" if field.width > 1 else f"[{field.low}]"
            lines.append(f"  {place:10} {field.name:10} {'signed  ' if field.signed else 'unsigned'} {field.text}")
    return "".join(f"// {line}".rstrip() + "\n" for long in lines for line in _wrapped(long))


def _gives(network: Mapping[str, Any]) -> str:
    """What leaves the network."""
    found = [f"{len(network['maps'])} map{'s' * (len(network['maps']) > 1)}"] if "maps" in network else []
    return ", ".join(found + ([f"{network['classes']} classes"] if "classes" in network else []))


def _wrapped(line: str) -> list[str]:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.wrap(line, 112, subsequent_indent=indent, drop_whitespace=False) or [""]
