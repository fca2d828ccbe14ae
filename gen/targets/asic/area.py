"""Area of a design for an ASIC by Yosys: gates, flip-flops, estimated transistors, and the bits of its memories."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from ...emit.origin import verilog_file
from .. import yosys
from ..yosys import YosysError

__all__ = ["GATES", "synthesise"]

GATES = "cmos4"
"""Gates that ABC maps to (Yosys, ``abc -g``): NAND, NOR, AOI and OAI of up to four inputs, inverters."""

# The RAMs stay what they are: macros of which nothing is known but their ports.
_RAM = """(* blackbox *)
module {name} (clk, we, waddr, wdata, re, raddr, rdata);
  parameter DEPTH = 512;
  parameter WIDTH = 36;
  parameter ADDRESS = 9;
  input clk, we, re;
  input [ADDRESS-1:0] waddr, raddr;
  input [WIDTH-1:0] wdata;
  output [WIDTH-1:0] rdata;
endmodule
"""

_MODULE = r"`ifndef SPIKELOOM_MACROS\nmodule {name} .*?endmodule\n`endif\n"


def synthesise(folder: str | Path, contents: dict[str, Any]) -> dict[str, int]:
    """Map the design in ``folder``, with ``contents`` of its ``design.json``, to gates and count.

    Figures: ``gates`` (combinational) and ``flip_flops`` of the logic, register files included and ROMs not, its
    ``transistors`` by Yosys's estimate (``stat -tech cmos``); ``rom_gates`` and ``rom_transistors``, those of the ROMs
    as logic, output registers included; ``ram_bits``, ``rom_bits`` and ``register_file_bits``.
    Raises YosysError where the design is not for an ASIC, or Yosys is missing or fails.
    """
    folder = Path(folder)
    if contents.get("target") != "asic":
        raise YosysError(f"{folder}: not for an ASIC; make it with 'spikeloom generate --target asic'")
    verilog = verilog_file(folder, contents)
    if not verilog.is_file():
        raise YosysError(f"{verilog}: no such file; generate the design again")
    with tempfile.TemporaryDirectory(prefix="spikeloom-asic-") as name:
        work = Path(name)
        text = verilog.read_text()
        for ram in sorted({m["module"] for m in contents["memories"] if m["kind"] == "ram"}):
            text = _RAM.format(name=ram) + re.sub(_MODULE.format(name=ram), "", text, flags=re.DOTALL)
        (work / "top.v").write_text(text)
        passes = [
            "read_verilog top.v",
            f"hierarchy -top {contents['top']}",
            *(f"setattr -mod -set keep_hierarchy 1 {m['module']}" for m in contents["memories"] if m["kind"] == "rom"),
            f"synth -top {contents['top']} -flatten -noabc",
            # Resets and enables become gates, so that there is one kind of flip-flop, of known transistors.
            "dfflegalize -cell $_DFF_P_ x",
            f"abc -g {GATES}",
            "opt_clean",
            "delete t:$scopeinfo",
            "tee -q -o stat.json stat -json -tech cmos",
        ]
        yosys.run(passes, work)
        modules = json.loads((work / "stat.json").read_text())["modules"]
    found: dict[str, int] = dict.fromkeys(("gates", "flip_flops", "transistors", "rom_gates", "rom_transistors"), 0)
    roms = {m["module"]: m["instances"] for m in contents["memories"] if m["kind"] == "rom"}
    for module, stat in modules.items():
        times = roms.get(module.lstrip("\\"))
        prefix, times = ("", 1) if times is None else ("rom_", times)
        cells = {cell: n for cell, n in stat["num_cells_by_type"].items() if cell.startswith("$_")}
        registers = sum(n for cell, n in cells.items() if "DFF" in cell)
        found[f"{prefix}gates"] += times * (sum(cells.values()) - registers)
        found["flip_flops"] += 0 if prefix else registers
        # "+": of the RAMs nothing is known.
        found[f"{prefix}transistors"] += times * int(stat["estimated_num_transistors"].rstrip("+"))
    for kind in ("ram", "rom", "register file"):
        bits = (m["depth"] * m["width"] * m["instances"] for m in contents["memories"] if m["kind"] == kind)
        found[f"{kind.replace(' ', '_')}_bits"] = sum(bits)
    return found
