"""Area after synthesis with Yosys, counted the same way for every tool in the tables.

ECP5 (``synth_ecp5``): ``lut4_eq`` = LUT4 + 2 CCU2C (a CCU2C occupies two LUT4), ``lut_ram`` = TRELLIS_DPR16X4 (16 words
of 4 bits, four LUT4 of a slice), ``ff``, ``ebr`` (DP16KD and PDPW16KD), ``mult`` = all multiplier and ALU blocks.
7 series (``synth_xilinx -family xc7``): ``xc7_lut`` = logic LUTs, ``xc7_lut_ram`` = LUTs used as memory or shift register.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from spikeloom.gen import yosys

__all__ = ["UNITS", "ecp5", "xc7"]

UNITS = {"lut4_eq": "LUT4-eq.", "lut_ram": "DPR16X4", "ff": "FF", "ebr": "EBR", "mult": "MULT18",
         "xc7_lut": "LUT", "xc7_lut_ram": "LUT", "xc7_ff": "FF", "xc7_dsp": "DSP48", "xc7_ramb18": "RAMB18"}

_LUT_RAM = {"RAM32X1S": 1, "RAM64X1S": 1, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM32M": 4, "RAM64M": 4,
            "SRL16E": 1, "SRLC32E": 1}


def _cells(design: Path, top: str, synthesis: str) -> dict[str, int]:
    """Cells by type of a Verilog (``.v``) or RTLIL (``.il``) file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(design, folder)
        reader = "read_rtlil" if design.suffix == ".il" else "read_verilog"
        yosys.run([f"{reader} {design.name}", f"{synthesis} -top {top}", "tee -q -o stat.json stat -json"], folder)
        return json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]


def _sum(cells: Mapping[str, int], *prefixes: str) -> int:
    return sum(count for kind, count in cells.items() if kind.startswith(prefixes))


def ecp5(design: Path, top: str) -> dict[str, int]:
    """Area on ECP5 of a Verilog or RTLIL file."""
    cells = _cells(design, top, "synth_ecp5")
    return {"lut4_eq": cells.get("LUT4", 0) + 2 * cells.get("CCU2C", 0), "lut_ram": cells.get("TRELLIS_DPR16X4", 0),
            "ff": cells.get("TRELLIS_FF", 0), "ebr": _sum(cells, "DP16K", "PDPW16K"), "mult": _sum(cells, "MULT", "ALU")}


def xc7(design: Path, top: str) -> dict[str, int]:
    """Area on Xilinx 7 series of a Verilog or RTLIL file."""
    cells = _cells(design, top, "synth_xilinx -family xc7")
    return {"xc7_lut": _sum(cells, "LUT"), "xc7_lut_ram": sum(n * cells.get(kind, 0) for kind, n in _LUT_RAM.items()),
            "xc7_ff": _sum(cells, "FD"), "xc7_dsp": _sum(cells, "DSP"),
            "xc7_ramb18": _sum(cells, "RAMB18") + 2 * _sum(cells, "RAMB36")}
