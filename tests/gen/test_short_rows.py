"""Windows of one pixel keep short rows: fewer block RAMs, the same words in every cycle that the law says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from map_nets import MapNets, frames

from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.lowering.kinds.rows import shortened
from spikeloom.hdl.cores.window.geometry import WindowGeometry
from spikeloom.hdl.cores.window.spec import WindowSpec
from spikeloom.hdl.streams.words import WordFormat
from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network
from spikeloom.sim.verify import verify


def network() -> Network:
    """A pointwise convolution of 4 channels between two others, on rows of 96 pixels, one of them the last."""
    nets = MapNets((1, 4, 96), 1)
    nets.conv("one")
    nets.quantise()
    nets.conv("point", 4, 1, nets.end)
    nets.quantise()
    nets.head("map", 3, nets.end, 1)
    return nets.done()


def window(pixels: int = 1, **changed: object) -> WindowGeometry:
    plain = WindowGeometry(i_format=WordFormat(2, 1, 0, 15), channels=4, height=4, width=48, groups=2, pixels=pixels)
    return replace(plain, **changed)


@pytest.mark.parametrize("pixels", [1, 2, 4])
def test_the_words_are_those_of_whole_rows(pixels: int) -> None:
    whole = window(pixels, width=48 * pixels)
    short = shortened(whole)
    assert short.width < whole.width and short.width % pixels == 0
    assert (short.i_words, short.results, short.cycles) == (whole.i_words, whole.results, whole.cycles)
    words = np.random.default_rng(0).integers(0, 16, (3 * whole.i_words, 2, 1))
    assert np.array_equal(short.compute(words), whole.compute(words))
    assert WindowSpec.of(whole, rows=2, credits=1).registered and not WindowSpec.of(short, rows=2, credits=1).registered


@pytest.mark.parametrize("changed", [
    {"kernel": (3, 1)}, {"stride": (2, 2)}, {"padding": ((0, 0), (0, 0)), "stride": (1, 2)}, {"pixels": 5},
    {"width": 4},
])  # fmt: skip
def test_what_needs_rows_keeps_them(changed: dict[str, object]) -> None:
    """Kernels of several pixels, strides, pixels that do not divide a row; and rows that need no block RAM."""
    whole = window(**changed)
    assert shortened(whole) == whole


@pytest.mark.parametrize("folds", [(Fold(2, 1, 1), Fold(3, 4, 1)), (Fold(2, 2, 1, pixels=2), Fold(1, 4, 1))],
                         ids=["plain", "pixels"])
def test_a_design_of_short_rows(tmp_path: Path, folds: tuple[Fold, Fold]) -> None:
    design = Design(network(), {"one": Fold(2, 1, 1), "point": folds[0], "map conv": folds[1]})
    _, point, last = design.stages
    assert point.window.width < 96 > last.window.width
    contents = emit.write(design, tmp_path)
    outcome = verify(design, contents, tmp_path, frames(design.network, 4), pauses=0.3)
    assert outcome.passed, outcome
    images = frames(design.network, 2)
    words = design.compute(images)[list(design.outputs.values())[0].name]
    wanted = golden.run(design.network, images, keep=())["map"].transpose(0, 2, 3, 1)
    values = list(design.outputs.values())[0].format.unpack(words).reshape(-1)
    assert np.array_equal(values, wanted.reshape(-1))
