"""What a verification says its frames reached: by layer, in words, in JSON, in JUnit, and as a limit of a test."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small

from spikeloom.commands.design import outcome_figures
from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.fold import Fold
from spikeloom.junit import properties
from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Conv2d, Flatten, Input, Linear, Readout
from spikeloom.reach_table import WARNINGS, reach_lines
from spikeloom.sim import chunk
from spikeloom.sim.predict import golden_words
from spikeloom.sim.reach import MOVED, TAKEN, DesignReach
from spikeloom.sim.verify import verify


def reached(design: Design, frames: np.ndarray) -> DesignReach:
    """What ``frames`` reach."""
    reach = DesignReach(design)
    outputs = golden.run(design.network, frames).outputs
    reach.add(outputs, golden_words(design, outputs))
    return reach


def test_a_verification_says_it_in_chunks_and_jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(chunk, "FRAMES", 5)
    design, frames = small.design(), small.frames(23)
    contents = emit.write(design, tmp_path)
    expected = reached(design, frames).figures()
    assert expected["frames"] == 23
    for jobs in (1, 2):
        outcome = verify(design, contents, tmp_path, frames, simulator="amaranth", jobs=jobs)
        assert outcome.reach is not None and outcome.reach.figures() == expected
        assert json.loads(json.dumps(outcome_figures(outcome)["reach"])) == expected
        found = properties(outcome)
        assert found["reach_branches"] == expected["branches"] == round(outcome.reach.share(TAKEN), 6)
        assert found["reach_constants"] == expected["constants"] == round(outcome.reach.share(MOVED), 6)
        assert found["reach_warnings"] == len(expected["warnings"])
    outcome = verify(design, contents, tmp_path, frames[:2], simulator="amaranth", reach=False)
    assert outcome.reach is None and "reach" not in outcome_figures(outcome)
    assert "reach_branches" not in properties(outcome)


def test_a_threshold_that_nothing_crosses_is_named() -> None:
    network = small.network()
    node = network["if1"]
    assert isinstance(node, IF)
    quiet = replace(node, bias=np.full(4, -1), v0=np.zeros(4, int))
    design = Design(Network(tuple(quiet if n.name == "if1" else n for n in network), 2), small.FOLDS)
    reach = reached(design, np.zeros((1, 1, 2, 2), int))
    silent = int(reach.reach.nodes["if1"].branches["tests"].can[1].any(0).sum())
    assert silent > 0
    assert f"if1: {silent} of 4 channels never crossed their threshold" in reach.warnings("tests")
    (text,) = reach.warnings("inputs")[:1]
    assert text == "hidden: 4 of 4 inputs were always 0 where a weight takes them, so it is not tested"
    lines = reach_lines(reach)
    assert lines[0].startswith("1 frame took ") and lines[-1] == "more frames reach more: -n 10"
    assert f"warning: if1: {silent} of 4 channels never crossed their threshold in 1 frame" in lines
    assert sum(line.startswith("warning: ") for line in lines) <= WARNINGS
    everything = np.array(list(np.ndindex(4, 4, 4, 4))).reshape(-1, 1, 2, 2)
    assert reached(design, everything).share("tests") > reach.share("tests")
    assert not reached(design, everything).warnings("inputs")


def test_words_that_are_skipped() -> None:
    rng = np.random.default_rng(3)
    network = Network((
        Input(name="input", shape=(4, 4, 4), high=1),
        Conv2d(name="conv", source="input", weight=rng.integers(-1, 2, (2, 4, 3, 3)), weight_bits=2, padding=1),
        IF(name="if1", source="conv", threshold=np.array([2, 3]), bias=np.array([0, 1]), v0=np.array([1, 1])),
        Flatten(name="flat", source="if1"),
        Linear(name="last", source="flat", weight=rng.integers(-1, 2, (2, 32)), weight_bits=2),
        Readout(name="out", source="last", bias=np.array([0, 0])),
    ), steps=2)  # fmt: skip
    design = Design(network, {"conv": Fold(1, 1, 1, skip=True), "last": Fold(1, 1, 1)})
    bright = np.ones((1, 4, 4, 4), int)
    reach = reached(design, bright)
    assert "conv: no all-zero word came in" in reach.warnings()
    assert {node["name"]: node for node in reach.figures()["layers"]}["conv"]["words"]["seen"] == 1
    dark = reached(design, 0 * bright)
    assert "conv: only all-zero words came in" in dark.warnings()
    assert dark.reach.nodes["conv"].windows == (16, 16) and reach.reach.nodes["conv"].windows == (0, 16)
    both = reached(design, np.concatenate([bright, 0 * bright]))
    assert not both.warnings("words")
    layers = {layer.name: layer for layer in both.layers}
    assert list(layers) == ["input", "conv", "last"] and layers["conv"].windows == (16, 32)
    assert layers["conv"].counts("words") == (2, 2, 0)
    # Of a word of two limbs one is enough to make it none that is skipped.
    outputs = golden.run(network, bright).outputs
    wide = DesignReach(design)
    wide.add(outputs, {b.name: np.array([[0, 1], [2, 0]]) for b in design.boundaries})
    assert "conv: no all-zero word came in" in wide.warnings()

