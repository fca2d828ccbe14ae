"""FIFOs of maps: readers at the mean rate of every output stop nothing, and with fewer credits they would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import map_nets
import numpy as np
import pytest
import small

from spikeloom.gen.design import Design
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.lowering.layers import layers
from spikeloom.gen.lowering.paced import mean_rate
from spikeloom.gen.lowering.plan import build_stage, fold_choices
from spikeloom.hdl.streams.stage import StageSpec

FRAMES = 8
PIXELS = {"cls8 conv": Fold(2, 1, 1, pixels=2), "box8 conv": Fold(3, 4, 1), "box16 conv": Fold(3, 4, 1, pixels=2)}


def ends(design: Design, stages: list[StageSpec], sinks: np.ndarray | tuple = ()) -> np.ndarray:
    """The cycles (outputs, frames) in which frames end."""
    found = design._freely(stages, FRAMES, sinks)
    return np.stack([found.transfers[b.name][b.words_per_frame - 1 :: b.words_per_frame]
                     for b in design.outputs.values()])  # fmt: skip


def slowest(design: Design, stages: list[StageSpec]) -> tuple[int, int]:
    """The interval between frames with ready readers, and with those at the mean rate."""
    free = ends(design, stages)
    interval = int((free[:, -1] - free[:, -2]).max())
    sinks = [mean_rate(interval, b.words_per_frame, int(free.max()) + FRAMES * interval) for b in
             design.outputs.values()]  # fmt: skip
    slow = ends(design, stages, np.stack(sinks))
    return interval, int((slow[:, -1] - slow[:, -2]).max())


def random_folds(quantised: bool, seed: int) -> Mapping[str, Fold]:
    rng, found = np.random.default_rng(seed), {}
    for layer in layers(map_nets.network(quantised)):
        choices = fold_choices(layer)
        while layer.name not in found:
            fold = choices[rng.integers(len(choices))]
            try:
                build_stage(layer, fold)
            except ValueError:
                continue
            found[layer.name] = fold
    return found


@pytest.mark.parametrize("seed", range(12))
def test_mean_readers_stop_nothing(seed: int) -> None:
    design = Design(map_nets.network(seed % 2 == 0), dict(random_folds(seed % 2 == 0, seed)))
    interval, slow = slowest(design, design.stages)
    assert slow <= interval


def test_credits_for_ready_readers_are_too_few() -> None:
    design = map_nets.design(True, **PIXELS)
    more = {s.name for s, few in zip(design.stages, design._merged, strict=True)
            if s.window.credits > few.window.credits}  # fmt: skip
    assert more and more <= set(map_nets.FOLDS) - {"one", "two"}, "of maps alone"
    interval, slow = slowest(design, design._merged)
    assert slow > interval
    assert slowest(design, design.stages) == (interval, interval)


def test_a_network_of_classes_has_none() -> None:
    design = small.design()
    assert design.stages is design._merged


def test_mean_rate() -> None:
    for interval, words in ((648, 72), (101, 7), (5, 5), (90, 89)):
        open_ = ~mean_rate(interval, words, 4 * interval)
        assert open_.reshape(4, interval).sum(1).tolist() == [words] * 4
        assert np.diff(np.flatnonzero(open_)).max() <= -(-interval // words)


def test_occupied_counts_what_waits_for_a_reader() -> None:
    """With as many credits no result waits for one, with one less some does."""
    design = map_nets.design(True, **PIXELS)
    sinks = np.zeros((4, 8000), bool)
    sinks[:, 300:2500] = True

    def decided(name: str, credits: int) -> list[int]:
        stages = [replace(s, window=replace(s.window, credits=credits)) if s.name == name else s
                  for s in design._merged]  # fmt: skip
        return design._freely(stages, FRAMES, sinks).stages[name].decided

    for name in ("box8 conv", "box16 conv", "cls16 conv"):
        stages = [replace(s, window=replace(s.window, credits=9999)) if s.name == name else s for s in design._merged]
        law = design._freely(stages, FRAMES, sinks).stages[name]
        assert decided(name, law.occupied) == law.decided
        assert decided(name, law.occupied - 1) != law.decided
