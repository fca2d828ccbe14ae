"""Verilog of the target ``asic``: no initial values, no inferred tables, every extension of an operand written out."""

from __future__ import annotations

import re
from pathlib import Path

from .. import yosys

__all__ = ["convert"]

_ARITHMETIC = {"$add", "$sub", "$mul", "$and", "$or", "$xor"}  # as wide as the result
_TESTS = {"$lt", "$le", "$ge", "$gt", "$eq", "$ne"}  # as wide as the wider operand
_SHIFTS = {"$shr", "$sshr", "$shift", "$shiftx"}  # to the right, Amaranth's amounts are never negative
_CELL = re.compile(r"^  cell (\$\w+) (.*)\n((?:    .*\n)*)  end\n", re.MULTILINE)


def convert(folder: Path, remove: str) -> None:
    """Turn ``top.il`` in ``folder``, as Amaranth writes it, into ``top.v``; ``remove``: options of ``attrmap``.

    Without the attribute of its initial value a register has none; its reset value is in the logic before it.
    """
    clean = [f"attrmap {remove} -remove init", f"attrmap -modattr {remove}"]
    yosys.run(["read_rtlil top.il", "proc -norom", *clean, "write_rtlil proc.il"], folder)
    text = (folder / "proc.il").read_text()
    (folder / "wide.il").write_text(_CELL.sub(_equal_widths, text))
    yosys.run(["read_rtlil wide.il", "delete w:* s:0 %i", "write_verilog -noparallelcase top.v"], folder)


def _equal_widths(match: re.Match[str]) -> str:
    """The cell with operands as wide as the operation, so that lint finds no extension that it must guess."""
    kind, name, body = match.groups()
    values = {key: int(value) for key, value in re.findall(r"parameter \\(\w+) (\d+)\n", body)}
    ports = dict(re.findall(r"connect \\(\w+) (.*)\n", body))
    if kind == "$logic_not" and values["A_WIDTH"] > 1:
        width = values["A_WIDTH"]
        values |= {"B_SIGNED": values["A_SIGNED"], "B_WIDTH": width}
        return _cell("$eq", name, values, ports | {"B": f"{width}'{'0' * width}"})
    if kind in _ARITHMETIC:
        width = values["Y_WIDTH"]
    elif kind in _TESTS:
        width = max(values["A_WIDTH"], values["B_WIDTH"])
    elif kind in _SHIFTS and values["Y_WIDTH"] < values["A_WIDTH"]:
        # All that was shifted, of which the lower bits are the result.
        width, wide = values["Y_WIDTH"], f"{name}_wide"
        cell = _cell(kind, name, values | {"Y_WIDTH": values["A_WIDTH"]}, ports | {"Y": wide})
        return f"  wire width {values['A_WIDTH']} {wide}\n{cell}  connect {ports['Y']} {wide} [{width - 1}:0]\n"
    else:
        return match[0]
    for port in ("A", "B"):
        ports[port] = _resized(ports[port], values[f"{port}_WIDTH"], width, bool(values[f"{port}_SIGNED"]))
        values[f"{port}_WIDTH"] = width
    highest = {"$le": "B", "$ge": "A"}.get(kind)
    if highest and not values["A_SIGNED"] and set(ports[highest].partition("'")[2]) == {"1"}:
        return f"  connect {ports['Y']} 1'1\n"  # nothing is above it
    return _cell(kind, name, values, ports)


def _resized(signal: str, width: int, target: int, signed: bool) -> str:
    if target <= width:
        return signal if target == width else f"{signal} [{target - 1}:0]"
    more = target - width
    above = " ".join([f"{signal} [{width - 1}]"] * more) if signed else f"{more}'{'0' * more}"
    return f"{{ {above} {signal} }}"


def _cell(kind: str, name: str, values: dict[str, int], ports: dict[str, str]) -> str:
    lines = [f"  cell {kind} {name}", *(f"    parameter \\{key} {value}" for key, value in values.items())]
    return "\n".join([*lines, *(f"    connect \\{port} {signal}" for port, signal in ports.items()), "  end"]) + "\n"
