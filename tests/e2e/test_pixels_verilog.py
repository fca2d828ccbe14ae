"""Folds of several pixels as Verilog: in Verilator, for an FPGA and for an ASIC, whose memories hold anything."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pixel_nets import Nets
from test_asic import lint
from test_pixels import WINDOWS, residual, windows

from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.fold import Fold
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import Add, Gain, Input
from spikeloom.sim.verify import verify


def large() -> Network:
    """Windows in block RAM, rows of 50 pixels: a ring and whole kernel columns, the ring ragged with a shortcut."""
    nets = Nets((4, 4, 50), 3)
    nets.conv("ring")
    nets.fire(40)
    entry = nets.end
    nets.conv("columns", stride=2)
    nets.fire(9)
    nets.conv("small", source=nets.end)
    nets.nodes.append(Gain(name="skip", source=entry, gain=[3, 5, 2, 4], stride=2))
    nets.nodes.append(Add(name="add", source="small", other="skip"))
    nets.fire(12)
    nets.answer()
    return nets.done()


LARGE = {
    "ring": Fold(4, 4, 1, pixels=3),
    "columns": Fold(2, 12, 1, pixels=2),
    "small": Fold(2, 4, 1, pixels=4),
    "last": Fold(1, 4, 1),
}


@pytest.mark.parametrize(
    ("target", "number"), [("fpga", 0), *(pytest.param("asic", n, marks=pytest.mark.slow) for n in (1, 2))]
)
def test_as_verilog(target: Any, number: int, tmp_path: Path) -> None:
    """In Verilator, with pauses and a reset, from any contents of memories on an ASIC."""
    made = residual("zero-padded")
    contents = emit.write(made, tmp_path, target=target)
    frames = np.random.default_rng(number).integers(0, 16, (12, *made.network.input.shape))
    outcome = verify(made, contents, tmp_path, frames, pauses=0.3, seed=number, resets=((333, 2),))
    assert outcome.passed, [str(d) for d in outcome.differences]
    assert outcome.transfers > 3000


@pytest.mark.slow
@pytest.mark.parametrize("target", ["fpga", "asic"])
def test_large_windows_as_verilog(target: Any, tmp_path: Path) -> None:
    """With the registers that block RAMs have built in, and on an ASIC with registers."""
    network = large()
    # The rows of values of 8 bits do not fit LUT RAM.
    nodes = [replace(node, high=255) if isinstance(node, Input) else node for node in network]
    design = Design(Network(tuple(nodes), 3), LARGE)
    assert [stage.window.built_in for stage in design.stages][:1] == [True]
    contents = emit.write(design, tmp_path, target=target)
    frames = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 50))
    outcome = verify(design, contents, tmp_path, frames, pauses=0.2)
    assert outcome.passed, [str(d) for d in outcome.differences]


@pytest.mark.slow
@pytest.mark.parametrize("case", WINDOWS)
@pytest.mark.parametrize("inputs", [2, 6])
def test_windows_on_an_asic(case: str, inputs: int, tmp_path: Path) -> None:
    """The masks of the cells that no input word fills, in a ring and in whole kernel columns; no lint."""
    rows = WINDOWS[case][0].get("kernel", (3, 3))[0]
    design = windows(case, 2 * rows if inputs > 2 else 2)
    contents = emit.write(design, tmp_path, target="asic")
    lint(tmp_path / contents["verilog"], contents["top"])
    frames = np.random.default_rng(0).integers(0, 16, (8, *design.network.input.shape))
    outcome = verify(design, contents, tmp_path, frames, pauses=0.2, seed=3, resets=((77, 1),))
    assert outcome.passed, [str(d) for d in outcome.differences]
