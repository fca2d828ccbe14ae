"""Pauses that matter: a window that adds freed rows instead of subtracting them is found on 20 frames at 0.3.

The counter of complete rows wraps, and after a whole frame it is right again. So the flaw shows only where a window
waits for a row, or is full, in the middle of a frame; a design that runs freely does neither.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.find import auto
from spikeloom.hdl.cores.window import core as window
from spikeloom.quant import data
from spikeloom.quant.ir import netfile
from spikeloom.sim.verify import verify

ROOT = Path(__file__).parents[2]
RIGHT, WRONG = "rows.eq(rows + row_done - done_with)", "rows.eq(rows + row_done + done_with)"


@pytest.fixture(scope="module")
def flawed() -> Callable:
    """How a window with the flaw is elaborated: the source of ``hdl/cores/window/core.py`` with another sign."""
    text = Path(window.__file__).read_text()
    assert text.count(RIGHT) == 1
    names = {"__name__": window.__name__, "__package__": window.__package__}
    exec(compile(text.replace(RIGHT, WRONG), window.__file__, "exec"), names)
    return names["Window"].elaborate


@pytest.mark.parametrize("cycles", [pytest.param(600, marks=pytest.mark.slow), 8000])
def test_a_window_that_adds_freed_rows(
    cycles: int, flawed: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = netfile.load(ROOT / "models" / "digits-t4w4.safetensors")
    design, frames = Design(network, auto(network, cycles)), data.load("digits").test_x[:20]
    spec = next(stage.window for stage in design.stages if stage.name == "conv2")
    right = window.Window.elaborate

    def elaborate(self: window.Window, platform: object) -> object:
        return (flawed if self.spec is spec else right)(self, platform)

    monkeypatch.setattr(window.Window, "elaborate", elaborate)
    contents = emit.write(design, tmp_path)
    assert verify(design, contents, tmp_path, frames).passed, "it does not show where nothing pauses"
    for seed in range(3):
        outcome = verify(design, contents, tmp_path, frames, pauses=0.3, seed=seed)
        assert not outcome.passed, f"the flaw is not found with seed {seed}"
