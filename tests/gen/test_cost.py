"""The cost model against Yosys: memories exactly, LUTs and flip-flops of small designs closely."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cost import compare
from benchmarks.cost_designs import SMALL
from spikeloom.gen.cost.model import Area, total
from spikeloom.gen.targets import yosys
from spikeloom.gen.targets.fpga.devices import LUT_RAM_LUTS, resources
from spikeloom.hdl.cost.memory import mapped
from spikeloom.hdl.cost.parts import bits_of
from spikeloom.hdl.streams.words import bits_for

MEMORY = """
module m{k}(input clk, input we, input [{a}:0] wa, ra, input [{w}:0] d, output reg [{w}:0] q);
  (* no_rw_check, ram_style = "{style}" *) reg [{w}:0] mem [0:{last}];
  {rom}
  always @(posedge clk) begin {write} q <= mem[ra]; end
endmodule
"""

GEOMETRIES = [
    (512, 36), (513, 36), (512, 37), (1024, 18), (1025, 18), (576, 256), (200, 128), (2048, 9), (2049, 9), (4096, 4),
    (8192, 2), (16384, 1), (16385, 1), (700, 5), (1100, 20), (3000, 13), (64, 400),
]  # fmt: skip
"""Depths and widths at and beside the edges of what block RAMs take."""


def memory_text(k: int, depth: int, width: int, style: str, rom: bool) -> str:
    """A module with one memory; a read-only one has contents in which no column is constant."""
    return MEMORY.format(
        k=k,
        a=max(1, (depth - 1).bit_length()) - 1,
        w=width - 1,
        last=depth - 1,
        style=style,
        rom=f'initial $readmemh("rom{k}.hex", mem);' if rom else "",
        write="" if rom else "if (we) mem[wa] <= d;",
    )


@pytest.mark.parametrize("kind", ["written", "read-only", "distributed", "auto"])
def test_memories_are_mapped_as_yosys_maps_them(kind: str, tmp_path: Path) -> None:
    if kind in ("distributed", "auto"):
        geometries = [(2, 3), (16, 4), (17, 4), (16, 5), (30, 9), (64, 16), (100, 7), (250, 4), (128, 8), (1000, 1)]
    else:
        geometries = GEOMETRIES
    style = {"distributed": "distributed", "auto": "auto"}.get(kind, "block")
    rng = np.random.default_rng(0)
    text = []
    for k, (depth, width) in enumerate(geometries):
        text.append(memory_text(k, depth, width, style, kind == "read-only"))
        rows = rng.integers(0, 16, (depth, -(-width // 4)))
        (tmp_path / f"rom{k}.hex").write_text("\n".join("".join(f"{d:x}" for d in row) for row in rows))
    text = [t.replace(', ram_style = "auto"', "") for t in text]
    (tmp_path / "top.v").write_text("\n".join(text))
    passes = ["read_verilog top.v", "proc", "opt", "memory -nomap", "opt_clean"]
    libraries = "-lib +/lattice/lutrams_trellis.txt -lib +/lattice/brams_16kd.txt"
    yosys.run([*passes, f"memory_libmap {libraries}", "tee -q -o stat.json stat -json"], tmp_path)
    modules = json.loads((tmp_path / "stat.json").read_text())["modules"]
    for k, (depth, width) in enumerate(geometries):
        cells = modules[f"\\m{k}"]["num_cells_by_type"]
        found = (
            cells.get("$__DP16KD_", 0) + cells.get("$__PDPW16KD_", 0),
            cells.get("$__TRELLIS_DPR16X4_", 0),
        )
        model = mapped(depth, width, style, written=kind != "read-only")
        assert (model.ebr, model.lut_ram) == found, f"{depth} x {width}: {model} != {found} (counted)"


@pytest.mark.parametrize("name", SMALL)
def test_the_model_is_close_to_yosys(name: str, tmp_path: Path) -> None:
    found = compare(name, tmp_path)
    assert found.same_memories, f"{found.model} != {found.counted} (counted)"
    assert abs(found.percent("lut4_eq")) <= 10
    assert abs(found.percent("ff")) <= 4


def test_bits_of_ranges() -> None:
    pairs = [(low, high) for low in range(-20, 5) for high in range(max(low, -3), 40)]
    low, high = np.array(pairs).T
    assert bits_of(low, high).tolist() == [bits_for(a, b)[0] for a, b in pairs]


def test_lut_ram_takes_luts_of_the_device() -> None:
    area = total([Area(10.0, 5, 2, 1), Area(1.0, 1, 0, 0)])
    assert resources(area).tolist() == [11 + 2 * LUT_RAM_LUTS, 6, 1, 0]
