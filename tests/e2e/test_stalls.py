"""Pauses that matter: a window that waits for the first rows of a frame only is found on 20 frames at 0.3.

The flaw shows only where a window waits for a row in the middle of a frame; a design that runs freely does not.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from amaranth.hdl import Module, Value

from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.find import auto
from spikeloom.hdl.cores.window import plan, walk
from spikeloom.hdl.cores.window.spec import WindowSpec
from spikeloom.quant import data
from spikeloom.quant.ir import netfile
from spikeloom.sim.verify import verify

ROOT = Path(__file__).parents[2]
RIGHT, WRONG = "return ~spare[-1]", "return ~spare[-1] | (self.freed != 0)"


@pytest.fixture(scope="module")
def flawed() -> Callable:
    """The rows of a window with the flaw: the source of ``hdl/cores/window/plan.py`` with a line of another."""
    text = Path(plan.__file__).read_text()
    assert text.count(RIGHT) == 1
    names = {"__name__": plan.__name__, "__package__": plan.__package__}
    exec(compile(text.replace(RIGHT, WRONG), plan.__file__, "exec"), names)
    return names["Rows"]


@pytest.mark.parametrize("cycles", [pytest.param(600, marks=pytest.mark.slow), 8000])
def test_a_window_that_waits_for_the_first_rows_only(
    cycles: int, flawed: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = netfile.load(ROOT / "models" / "digits-t4w4.safetensors")
    design, frames = Design(network, auto(network, cycles)), data.load("digits").test_x[:20]
    spec = next(stage.window for stage in design.stages if stage.name == "conv2")

    def rows(m: Module, given: WindowSpec, moves: Value) -> plan.Rows:
        return (flawed if given is spec else plan.Rows)(m, given, moves)

    monkeypatch.setattr(walk, "Rows", rows)
    contents = emit.write(design, tmp_path)
    assert verify(design, contents, tmp_path, frames).passed, "it does not show where nothing pauses"
    for seed in range(3):
        outcome = verify(design, contents, tmp_path, frames, pauses=0.3, seed=seed)
        assert not outcome.passed, f"the flaw is not found with seed {seed}"
