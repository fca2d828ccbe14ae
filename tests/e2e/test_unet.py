"""U-Nets in gates: upsampling and long skips, every word in every cycle, and no deadlock whatever pauses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import unet_nets

from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.find import search
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.lowering.layers import layers
from spikeloom.gen.lowering.plan import build_stage
from spikeloom.gen.lowering.streams import with_depths
from spikeloom.quant import golden
from spikeloom.sim.predict import golden_words
from spikeloom.sim.verify import verify


def slowest(steps: int) -> Design:
    """One channel at a time everywhere."""
    network = unet_nets.network(steps)
    return Design(network, {layer.name: Fold(1, 1, layer.time_fold) for layer in layers(network)})


@pytest.mark.parametrize(("steps", "options"), [
    (1, {"pauses": 0.3}),
    pytest.param(3, {"pauses": 0.3, "resets": 2}, marks=pytest.mark.slow),
    pytest.param(3, {"simulator": "cocotb"}, marks=pytest.mark.slow),
    pytest.param(1, {"netlist": "ecp5"}, marks=pytest.mark.slow),
])  # fmt: skip
def test_whole_frames_in_gates(steps: int, options: dict[str, object], tmp_path: Path) -> None:
    design = search(unet_nets.network(steps), 1200).design
    emit.write(design, tmp_path)
    read, contents = emit.read(tmp_path)
    outcome = verify(read, contents, tmp_path, unet_nets.frames(read.network, 4), **options)
    assert outcome.passed, outcome.differences or outcome.edits


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("folds", ["slowest", "searched"])
def test_core_models_give_the_words_of_the_golden_model(steps: int, folds: str) -> None:
    design = slowest(steps) if folds == "slowest" else search(unet_nets.network(steps), 600).design
    frames = unet_nets.frames(design.network, 2)
    words, models = golden_words(design, golden.run(design.network, frames).outputs), design.compute(frames)
    assert len({boundary.format.bits for boundary in design.boundaries}) > 2
    for name, expected in words.items():
        assert np.array_equal(models[name], expected), name


@pytest.mark.parametrize("steps", [1, 3])
def test_the_long_skips_are_as_deep_as_they_must_be(steps: int) -> None:
    """A frame takes as long as with FIFOs without limit; a tenth of the longest one, and no frame comes out."""
    design = slowest(steps)
    deep = {stage.name: [merge.slots for merge in stage.merges] for stage in design.stages if stage.merges}
    assert deep["dec1"][0] > deep["dec2"][0] > 10
    words = 3 * design.boundaries[0].words_per_frame
    free, made = (found.transfers["head conv"] for found in (design.free_run, design.law(words)))
    assert np.array_equal(free[: len(made)], made) and len(made) == 3 * 64 * 3
    short = slowest(steps)
    vars(short)["stages"] = with_depths(design.stages, deep | {"dec1": [deep["dec1"][0] // 10]})
    assert len(short.law(words).transfers["head conv"]) < 64 * 3


def test_an_upsampling_never_makes_others_wait() -> None:
    """With two rows it hands out a word in every cycle, one row while the next one comes."""
    layer = next(layer for layer in layers(unet_nets.network()) if layer.name == "dec1_up")
    spec = build_stage(layer, Fold(1, 1, 1))
    assert (spec.window.rows, spec.cycles, spec.window.i_words, spec.latency) == (2, 128, 32, 2)
    assert spec.window.times == (2, 2) and not spec.parts().ebr


@pytest.mark.parametrize(("fold", "message"), [
    (Fold(3, 3, 1), "dec2_up: fold outputs=3 does not divide 4; choose one of 1, 2, 4"),
    (Fold(2, 4, 1), "dec2_up: an upsampling gives the channels that it takes, so outputs=2 must equal inputs=4"),
    (Fold(2, 2, 1, skip=True), "dec2_up: fold skip=true does not fit, an upsampling hands out every word"),
    (Fold(2, 2, 1, packed=True), "dec2_up: fold packed=true does not fit, an upsampling has no weights"),
    (Fold(2, 2, 1, multiply=True), "dec2_up: fold multiply=true does not fit, an upsampling has no weights"),
    (Fold(2, 2, 1, pixels=2), "dec2_up: fold pixels=2 does not fit, an upsampling has no weights that pixels could"),
])  # fmt: skip
def test_folds_that_it_has_none_of_are_refused(fold: Fold, message: str) -> None:
    layer = next(layer for layer in layers(unet_nets.network()) if layer.name == "dec2_up")
    with pytest.raises(PlanError, match=message):
        build_stage(layer, fold)
