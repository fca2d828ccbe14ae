"""Where the block RAMs and multipliers of an ECP5 are, as nextpnr knows it."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ... import yosys
from ...yosys import YosysError
from ..devices import DEVICES

__all__ = ["MACROS", "Site", "sites"]

MACROS = {
    "DP16KD": "DP16KD #(.DATA_WIDTH_A(1), .DATA_WIDTH_B(1)) {name} (.CLKA(clk), .CLKB(clk), .ADA0(a), .DOB0({q}));",
    "MULT18X18D": "MULT18X18D {name} (.CLK0(clk), .A0(a), .B0(a), .P0({q}));",
}
"""The macros that are placed, each with an instance in Verilog."""

_SITE = re.compile(r"X(\d+)/Y(\d+)/\w+")


class Site(NamedTuple):
    """A place for a macro: nextpnr's ``name`` of it, and the column ``x`` and row ``y`` of its tile."""

    name: str
    x: int
    y: int


@cache
def sites(size: str, nextpnr: Callable[[Path, list[str]], None]) -> Mapping[str, tuple[Site, ...]]:
    """All sites of each of :data:`MACROS` on an ECP5 of ``size`` ("85k").

    Found by placing a design that has as many macros as the device. ``nextpnr(folder, arguments)`` runs nextpnr, and
    raises YosysError where it fails. It takes a second.
    """
    device = DEVICES[f"ecp5-{size}"]
    counts = {"DP16KD": device.ebr, "MULT18X18D": device.dsp}
    lines = [f"module top(input clk, input a, output [{sum(counts.values()) - 1}:0] q);"]
    for kind, instance in MACROS.items():
        for _ in range(counts[kind]):
            number = len(lines) - 1
            lines.append("(* keep *) " + instance.format(name=f"macro_{number}", q=f"q[{number}]"))
    with tempfile.TemporaryDirectory(prefix="spikeloom-sites-") as name:
        folder = Path(name)
        (folder / "full.v").write_text("\n".join([*lines, "endmodule"]) + "\n")
        yosys.run(["read_verilog full.v", "synth_ecp5 -top top", "write_json full.json"], folder)
        nextpnr(folder, ["--json", "full.json", "--no-route", "--write", "placed.json"])
        cells = json.loads((folder / "placed.json").read_text())["modules"]["top"]["cells"].values()
    found: dict[str, list[Site]] = {kind: [] for kind in MACROS}
    for cell in cells:
        if cell["type"] in MACROS:
            place = cell["attributes"]["NEXTPNR_BEL"]
            match = _SITE.fullmatch(place)
            if match is None:
                raise YosysError(f"nextpnr names a site {place!r}, which has no column and row")
            found[cell["type"]].append(Site(place, int(match[1]), int(match[2])))
    return {kind: tuple(sorted(each, key=lambda site: (site.y, site.x))) for kind, each in found.items()}
