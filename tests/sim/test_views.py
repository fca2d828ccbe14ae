"""Where viewers find the signals of a waveform."""

from __future__ import annotations

from pathlib import Path

from spikeloom.sim.views import _scopes

VCD = """$version Verilator $end
 $scope module TOP $end
  $var wire 1 # clk $end
  $scope module core $end
   $var wire 1 # clk $end
   $var wire 4 % inside [3:0] $end
  $upscope $end
  $scope module design $end
   $var wire 8 & b0__payload [7:0] $end
  $upscope $end
  $var wire 1 ' last $end
 $upscope $end
$enddefinitions $end
$var wire 1 ! late $end
"""


def test_signals_are_found_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "waves.vcd").write_text(VCD)
    assert _scopes(tmp_path / "waves.vcd") == {
        "clk": "TOP.clk",
        "inside": "TOP.core.inside",
        "b0__payload": "TOP.design.b0__payload",
        "last": "TOP.last",
    }
