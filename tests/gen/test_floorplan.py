"""Sites of block RAMs and multipliers before placement."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from spikeloom.gen.targets.fpga import floorplan, synth
from spikeloom.gen.targets.fpga.floorplan.netlist import MOST_PINS
from spikeloom.gen.targets.yosys import YosysError

PAIRS = 12


def write(path: Path, cells: dict[str, tuple[str, list[int]]]) -> Path:
    """A netlist of ``cells``: the type and the nets of each."""
    listed = {
        name: {"type": kind, "attributes": {}, "connections": {f"P{k}": [net] for k, net in enumerate(nets)}}
        for name, (kind, nets) in cells.items()
    }
    modules = {"cell": {"attributes": {}, "cells": {}}, "top": {"attributes": {"top": "01"}, "cells": listed}}
    path.write_text(json.dumps({"modules": modules}))
    return path


def pairs(path: Path) -> Path:
    """Three stages with four pairs of block RAMs each, joined by LUTs; the names say nothing of the pairs."""
    cells: dict[str, tuple[str, list[int]]] = {}
    order = np.random.default_rng(1).permutation(2 * PAIRS)
    for k in range(PAIRS):
        nets = list(range(100 * k, 100 * k + 8))
        cells[f"conv{k // 4}.ram{order[2 * k]}"] = ("DP16KD", nets[:4])
        cells[f"conv{k // 4}.ram{order[2 * k + 1]}"] = ("DP16KD", nets[4:])
        cells |= {f"conv{k // 4}.lut{k}_{n}": ("LUT4", [nets[n], nets[n + 4]]) for n in range(4)}
        cells[f"conv{k // 4}.link{k}"] = ("TRELLIS_FF", [nets[0], 100 * k + 100])
    return write(path, dict(sorted(cells.items())))


def twos(gap: int = 9) -> dict[str, list[floorplan.Site]]:
    """Two rows of sites, in twos."""
    ram = [floorplan.Site(f"X{x}/Y{y}/EBR", x, y) for y in (10, 34) for k in range(PAIRS // 2)
           for x in (k * gap, k * gap + 2)]  # fmt: skip
    return {"DP16KD": ram, "MULT18X18D": []}


def test_what_belongs_together_stands_together(tmp_path: Path) -> None:
    path = pairs(tmp_path / "top.json")
    found = floorplan.pin(path, ["conv0", "conv1", "conv2"], twos())
    assert len(set(found.places.values())) == 2 * PAIRS
    where = {name.split("ram")[1]: place for name, place in found.places.items()}
    order = [where[str(k)] for k in np.random.default_rng(1).permutation(2 * PAIRS)]
    at = {site.name: (site.x // 9, site.y) for site in twos()["DP16KD"]}
    together = [at[a] == at[b] for a, b in zip(order[::2], order[1::2], strict=True)]
    assert sum(together) >= PAIRS - 3, together
    cells = json.loads(path.read_text())["modules"]["top"]["cells"]
    pinned = {name: cell["attributes"]["BEL"] for name, cell in cells.items() if "BEL" in cell["attributes"]}
    assert pinned == found.places and all("ram" in name for name in pinned)


def test_stages_follow_one_another(tmp_path: Path) -> None:
    """Macros with no wire between stages: only the order of the stages says where they go."""
    cells = {f"a.conv{k}{end}": ("DP16KD", [10 * k, 10 * k + 1]) for k in range(1, 7) for end in (".x", "_fork.y")}
    path = write(tmp_path / "top.json", cells)
    row = {
        "DP16KD": [floorplan.Site(f"X{x}", x, 10) for x in range(0, 48, 4)],
        "MULT18X18D": [floorplan.Site("m", 50, 22)],
    }
    found = floorplan.pin(path, [f"conv{k}" for k in range(1, 7)], row)
    columns = [int(found.places[name][1:]) // 8 for name in cells]
    assert columns == sorted(columns), found.places


def test_a_netlist_has_what_a_placer_needs(tmp_path: Path) -> None:
    many = {f"ff{k}": ("TRELLIS_FF", [1, 2 if k < 2 else 3]) for k in range(MOST_PINS + 1)}
    cells = {**many, "conv1.ram": ("DP16KD", [2]), "conv10_fork.m": ("MULT18X18D", [2]), "x": ("$scopeinfo", [])}
    netlist = floorplan.read(write(tmp_path / "top.json", cells), ["conv1", "conv10"])
    assert netlist.stage[-2:].tolist() == [0, 1] and set(netlist.stage[:-2]) == {-1}
    assert [netlist.names[k] for kind in netlist.macros.values() for k in kind] == ["conv1.ram", "conv10_fork.m"]
    sizes = np.diff([*netlist.starts, len(netlist.pins)])
    assert sorted(sizes) == [4, MOST_PINS - 1], "the net of all cells says nothing of where they are"
    x, y = np.zeros(len(netlist.names)), np.zeros(len(netlist.names))
    x[-2], y[-1] = 5, 7
    assert netlist.wires(x, y) == 12


def test_too_many_macros_are_refused(tmp_path: Path) -> None:
    few = {kind: each[:-1] for kind, each in twos().items()}
    with pytest.raises(ValueError, match="24 DP16KD and 23 sites for them"):
        floorplan.pin(pairs(tmp_path / "top.json"), [], few)


@pytest.mark.parametrize(("option", "value"), [("placer", "sa"), ("router", "router3")])
def test_an_unknown_way_to_place_or_route_is_refused(tmp_path: Path, option: str, value: str) -> None:
    with pytest.raises(YosysError, match=f"{option} must be one of .*, not '{value}'"):
        synth.place(tmp_path, {"top": "top", "verilog": "top.v"}, "12k", **{option: value})


@pytest.mark.xdist_group("nextpnr")
def test_the_sites_of_a_device_are_those_of_nextpnr(tmp_path: Path) -> None:
    """A register whose block RAM has a site is placed, and its RAM stands there."""
    found = floorplan.sites("12k", lambda folder, more: synth._run(folder, ["--12k", "--out-of-context", *more]))
    assert {kind: len(set(each)) for kind, each in found.items()} == {"DP16KD": 32, "MULT18X18D": 28}
    assert {kind: len({site.y for site in each}) for kind, each in found.items()} == {"DP16KD": 2, "MULT18X18D": 1}


@pytest.mark.slow
@pytest.mark.xdist_group("nextpnr")
def test_a_design_is_placed_around_its_floorplan(tmp_path: Path) -> None:
    """A small design with block RAMs keeps its cells, and comes out of the router with a clock."""
    lines = ["module top(input clk, input [8:0] a, output reg [35:0] q);", "  wire [35:0] w [0:3];"]
    for k in range(4):
        lines += [f"  reg [35:0] m{k} [0:511]; reg [35:0] r{k}; always @(posedge clk) begin r{k} <= m{k}[a];",
                  f"    m{k}[a] <= q + {k}; end"]  # fmt: skip
    lines += ["  always @(posedge clk) q <= r0 ^ r1 + r2 ^ r3;", "endmodule"]
    (tmp_path / "top.v").write_text("\n".join(lines))
    contents = {"top": "top", "verilog": "top.v", "folds": {"conv1": {}}}
    record, steps = tmp_path / "seeds.json", []
    full = {"floorplan": True, "placer": "static", "router": "router2", "record": record}
    found = synth.place(tmp_path, contents, "12k", **full, progress=lambda what, *_: steps.append(what))
    assert found["ebr"] == found["cells"]["ebr"] == 4 and found["mhz"] > 50
    assert steps[0] == "synthesis" and "floorplan" in steps and "router2" in found["of"]["nextpnr"]
    assert synth.place(tmp_path, contents, "12k", **full) == found
    assert synth.place(tmp_path, contents, "12k", **full | {"floorplan": False})["of"] != found["of"]
