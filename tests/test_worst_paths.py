"""The worst paths that ``benchmarks.paths`` finds in delays of a small netlist."""

from __future__ import annotations

import pytest

from benchmarks.paths import Delays, Group, table, worst

SDF = r"""
  (CELL
    (CELLTYPE "top")
    (INSTANCE )
        (INTERCONNECT a.window.x_TRELLIS_FF_Q\[1\]/Q a.synapsearray.lut\$1/A (90:95:100) (1:2:3))
        (INTERCONNECT a.window.y/Q a.synapsearray.lut\$1/B (10:10:10) (700:700:700))
        (INTERCONNECT a.synapsearray.lut\$1/F a.synapsearray.z/DI (0:0:0) (0:0:0))
        (INTERCONNECT a.window.y/Q a.window.y/CE (20:20:20) (20:20:20))
        (INTERCONNECT a_width.r/Q a.window.y/DI (40:40:40) (40:40:40))
  (CELL
    (INSTANCE a.window.x_TRELLIS_FF_Q\[1\])
        (IOPATH CLK Q (1:2:500) (1:2:400))
      (SETUPHOLD (posedge DI) (posedge CLK) (5:5:5) (0:0:0))
  (CELL
    (INSTANCE a.window.y)
        (IOPATH CLK Q (500:500:500) (500:500:500))
      (SETUPHOLD (posedge CE) (posedge CLK) (7:7:7) (0:0:0))
      (SETUPHOLD (negedge DI) (posedge CLK) (60:60:60) (0:0:0))
  (CELL
    (INSTANCE a.synapsearray.lut\$1)
        (IOPATH A F (1000:1000:1000) (1:1:1))
        (IOPATH B F (200:200:200) (200:200:200))
  (CELL
    (INSTANCE a.synapsearray.z)
        (IOPATH CLK Q (500:500:500) (500:500:500))
      (SETUPHOLD (posedge DI) (posedge CLK) (30:30:30) (0:0:0))
  (CELL
    (INSTANCE a_width.r)
        (IOPATH CLK Q (800:800:800) (800:800:800))
      (SETUPHOLD (posedge DI) (posedge CLK) (0:0:0) (0:0:0))
"""


def test_every_register_counts_with_its_worst_path() -> None:
    found = worst(Delays(SDF))
    x, z, y = ("a.window.x_TRELLIS_FF_Q[1]", "Q"), ("a.synapsearray.z", "DI"), ("a.window.y", "Q")
    assert found == [
        Group("a.window", "a.synapsearray", 500 + 100 + 1000 + 30, x, z, 1, 100.0, 1),
        Group("a_width", "a.window", 800 + 40 + 60, ("a_width.r", "Q"), ("a.window.y", "DI"), 0, 40.0, 0),
        Group("a.window", "a.window", 500 + 20 + 7, y, ("a.window.y", "CE"), 0, 20.0, 0),
    ]
    assert table(found).splitlines()[2].startswith("| 1.63 | 0.10 | 1 | 1 | a.window | a.synapsearray |")


@pytest.mark.parametrize(("port", "ps"), [("A", 1630), ("B", 1430)])
def test_the_slowest_way_into_a_cell_counts(port: str, ps: int) -> None:
    other = "AB".replace(port, "")
    kept = "\n".join(line for line in SDF.splitlines() if rf"lut\$1/{other}" not in line)
    assert worst(Delays(kept))[0].ps == ps
