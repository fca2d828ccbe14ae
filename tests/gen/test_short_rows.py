"""Windows of one pixel that are walked together keep short rows: fewer block RAMs, the same words in every cycle that
the law says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from map_nets import MapNets, frames

from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.lowering.kinds import synapse
from spikeloom.gen.lowering.kinds.rows import shortened
from spikeloom.hdl.cores.window.geometry import WindowGeometry
from spikeloom.hdl.cores.window.spec import WindowSpec
from spikeloom.hdl.streams.words import WordFormat
from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Add, Conv2d, Flatten, Gain, Input, Linear, Readout
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


@pytest.mark.parametrize("pixels", [2, 4])
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
    {"pixels": 2, "width": 4}, {},
])  # fmt: skip
def test_what_needs_rows_keeps_them(changed: dict[str, object]) -> None:
    """Kernels of several pixels, strides, pixels that do not divide a row; rows that need no block RAM; and a line
    buffer, which has none."""
    whole = window(**changed)
    assert shortened(whole) == whole


def test_a_design_of_short_rows(tmp_path: Path) -> None:
    folds = {"one": Fold(2, 1, 1), "point": Fold(2, 2, 1, pixels=2), "map conv": Fold(1, 4, 1)}
    design = Design(network(), folds)
    _, point, last = design.stages
    assert point.window.width < 96 == last.window.width and last.window.words == 2
    contents = emit.write(design, tmp_path)
    outcome = verify(design, contents, tmp_path, frames(design.network, 4), pauses=0.3)
    assert outcome.passed, outcome
    images = frames(design.network, 2)
    words = design.compute(images)[list(design.outputs.values())[0].name]
    wanted = golden.run(design.network, images, keep=())["map"].transpose(0, 2, 3, 1)
    values = list(design.outputs.values())[0].format.unpack(words).reshape(-1)
    assert np.array_equal(values, wanted.reshape(-1))


def around_a_shortcut() -> Network:
    """A pointwise convolution between the fork and the merge of a shortcut, on rows of 96 pixels."""
    rng, ones = np.random.default_rng(0), np.ones(4, int)

    def conv(name: str, source: str, size: int) -> Conv2d:
        weight = rng.integers(-3, 4, (4, 4, size, size))
        return Conv2d(name=name, source=source, weight=weight, weight_bits=4, padding=size // 2)

    def fire(name: str, source: str) -> IF:
        return IF(name=name, source=source, threshold=20 * ones, bias=0 * ones, v0=10 * ones, rule="lossless")

    nodes = (
        Input(name="input", shape=(4, 4, 96), high=3), conv("one", "input", 3), fire("if1", "one"),
        conv("point", "if1", 1), fire("if2", "point"), conv("three", "if2", 3),
        Gain(name="gain", source="if1", gain=3 * ones), Add(name="add", source="three", other="gain"),
        fire("if3", "add"), Flatten(name="flat", source="if3"),
        Linear(name="fc", source="flat", weight=rng.integers(-7, 8, (3, 4 * 4 * 96)), weight_bits=4),
        Readout(name="out", source="fc", bias=np.zeros(3, int)),
    )  # fmt: skip
    return Network(nodes, 3)


def test_what_waits_behind_short_rows_is_a_smaller_share_of_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    folds = {"one": Fold(1, 1, 1, skip=True), "point": Fold(2, 1, 1, pixels=2), "three": Fold(1, 4, 1),
             "fc": Fold(3, 4, 1)}  # fmt: skip

    def slots() -> tuple[int, int]:
        stages = {stage.name: stage for stage in Design(around_a_shortcut(), folds).stages}
        return stages["point"].window.width, stages["three"].merges[0].slots

    short = slots()
    monkeypatch.setattr(synapse, "shortened", lambda window: window)
    whole = slots()
    assert short[0] < whole[0] == 96 and short[1] < whole[1], (short, whole)
