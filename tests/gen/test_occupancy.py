"""Room in the FIFOs of shortcuts where stages skip words: enough for any frames, and more than dense ones need."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloom.gen import design as designs
from spikeloom.gen.design import Design
from spikeloom.gen.folding.fold import Fold
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Add, Conv2d, Flatten, Gain, Input, Linear, Node, Readout

SIZE, CHANNELS = 8, 4
FOLDS = {"one": (1, 1, True), "two": (1, 4, False), "three": (1, 4, False), "own": (2, 4, False), "fc": (3, 4, False)}
"""Outputs, inputs and whether words are skipped: without zero words the first stage is the slowest, so that little
waits behind it."""


def network(shortcut: str, size: int = SIZE) -> Network:
    rng = np.random.default_rng(0)
    shape, ones = (CHANNELS, CHANNELS, 3, 3), np.ones(CHANNELS, int)

    def layer(name: str, source: str) -> Conv2d:
        return Conv2d(name=name, source=source, weight=rng.integers(-3, 4, shape), weight_bits=4, padding=1)

    def fire(name: str, source: str) -> IF:
        return IF(name=name, source=source, threshold=20 * ones, bias=0 * ones, v0=10 * ones, rule="lossless")

    nodes: list[Node] = [Input(name="input", shape=(CHANNELS, size, size), high=3)]
    nodes += [layer("one", "input"), fire("if1", "one"), layer("two", "if1"), fire("if2", "two"), layer("three", "if2")]
    if shortcut == "identity":
        nodes.append(Gain(name="other", source="if1", gain=3 * ones))
    else:
        nodes.append(Conv2d(name="own", source="if1", weight=rng.integers(-7, 8, (4, 4, 1, 1)), weight_bits=4))
    other = nodes[-1].name
    nodes += [Add(name="add", source="three", other=other), fire("if3", "add"), Flatten(name="flat", source="if3")]
    weight = rng.integers(-7, 8, (3, CHANNELS * size * size))
    nodes += [Linear(name="fc", source="flat", weight=weight, weight_bits=4)]
    return Network((*nodes, Readout(name="out", source="fc", bias=np.zeros(3, int))), 3)


def frames(seed: int, share: float, size: int = SIZE, count: int = 4) -> np.ndarray:
    """Some rows of each frame are busy, the others all zero."""
    rng = np.random.default_rng(seed)
    busy = rng.random((count, 1, size, 1)) < share
    return rng.integers(0, 4, (count, CHANNELS, size, size)) * busy


def built(shortcut: str) -> Design:
    net = network(shortcut)
    names = {node.name for node in net}
    return Design(net, {n: Fold(o, i, 1, skip=skip) for n, (o, i, skip) in FOLDS.items() if n in names})


def occupied(design: Design, images: np.ndarray, pauses: np.ndarray) -> int:
    costs = design.costs(design.compute(images))
    timing = design.law(len(images) * design.boundaries[0].words_per_frame, (), pauses, costs=costs)
    return timing.stages["three"].skips[0].occupied


def ends(design: Design, images: np.ndarray) -> int:
    costs = design.costs(design.compute(images))
    timing = design.law(len(images) * design.boundaries[0].words_per_frame, costs=costs)
    return int(timing.transfers[next(iter(design.outputs.values())).name][-1])


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(["identity", "convolution"]), st.integers(0, 99), st.sampled_from([0.0, 0.3, 0.7, 1.0]))
def test_no_frames_fill_more_than_there_is_room_for(shortcut: str, seed: int, share: float) -> None:
    design = built(shortcut)
    (merge,) = next(stage for stage in design.stages if stage.name == "three").merges
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(designs, "most_waiting", lambda *_: {"three": [10**6]})
        free = built(shortcut)
        pauses = np.random.default_rng(seed).integers(0, 20_000, 3000)
        assert occupied(free, frames(seed, share), pauses) <= merge.slots


def test_dense_depths_would_make_sparse_frames_wait(monkeypatch) -> None:
    images = frames(3, 0.4)
    last = [ends(built("identity"), images)]
    for depth in (10**6, 0):
        monkeypatch.setattr(designs, "most_waiting", lambda *_, depth=depth: {"three": [depth]})
        last.append(ends(built("identity"), images))
    assert last[0] == last[1] < last[2]


TOGETHER = {
    "blocks of one row": (5, "identity", Fold(2, 4, 1, pixels=4), Fold(1, 4, 1, pixels=2)),
    "ragged blocks": (7, "convolution", Fold(1, 4, 1, pixels=3), Fold(4, 4, 1, pixels=6)),
    "blocks of several groups": (8, "convolution", Fold(2, 4, 1, pixels=4), Fold(2, 4, 1, pixels=6)),
    "no blocks at the sum": (6, "identity", Fold(1, 4, 1, pixels=6), Fold(1, 4, 1)),
}


@pytest.mark.parametrize("case", TOGETHER)
def test_blocks_of_pixels_have_room_for_what_waits(case: str) -> None:
    """A sink that takes nothing until all is full: rows of windows, results that have a credit, blocks in part."""
    size, shortcut, two, three = TOGETHER[case]
    net = network(shortcut, size)
    folds = {n: Fold(o, i, 1, skip=skip) for n, (o, i, skip) in FOLDS.items()} | {"two": two, "three": three}
    folds = {name: fold for name, fold in folds.items() if name in {node.name for node in net}}
    (merge,) = next(stage for stage in Design(net, folds).stages if stage.name == "three").merges
    most = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(designs, "most_waiting", lambda *_: {"three": [10**6]})
        free = Design(net, folds)
        for seed, share in enumerate((0.0, 0.3, 0.7, 1.0)):
            images = frames(seed, share, size, 12)
            most = max(most, occupied(free, images, np.ones(25_000, bool)))
    assert 0.5 * merge.slots < most <= merge.slots
