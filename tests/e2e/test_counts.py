"""Words of spike counts: residual lossless networks with both pools, in every cycle, with and without counts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikeloom.gen.design import Design, Top
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.folding.rates import WordRates
from spikeloom.hdl.streams.words import WordFormat
from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import (
    IF,
    Add,
    Conv2d,
    Flatten,
    Gain,
    Input,
    Linear,
    MaxPool,
    Node,
    Readout,
    SumPool,
)
from spikeloom.sim.compare import compare
from spikeloom.sim.disturb import random_pauses
from spikeloom.sim.predict import boundary_infos, golden_words, make_stimulus, predict
from spikeloom.sim.show import difference_text
from spikeloom.sim.simulators.amaranth_sim import run_amaranth
from spikeloom.sim.verify import verify

C = 4
FOLDS = {
    "first": Fold(2, 1, 1),
    "max": Fold(2, 2, 1),
    "a": Fold(4, 2, 1),
    "b": Fold(2, 4, 1),
    "side": Fold(1, 2, 1),
    "sum": Fold(1, 1, 1),
    "last": Fold(3, 1, 1),
}


def network(steps: int, rule: str = "lossless", low: int = 0, inner: str = "lossless") -> Network:
    """A convolution, a max-pool, a block with an identity shortcut and one with a convolution, a sum-pool; lossless
    neurons with the lower end ``low``, those inside the block of rule ``inner``."""
    rng = np.random.default_rng(steps)
    nodes: list[Node] = [Input(name="input", shape=(2, 6, 6), high=15)]

    def conv(name: str, source: str, ci: int, kernel: int) -> None:
        weight = rng.integers(-7, 8, (C, ci, kernel, kernel))
        nodes.append(Conv2d(name=name, source=source, weight=weight, weight_bits=4, padding=kernel // 2))

    def fire(name: str, level: int, rule: str) -> None:
        threshold = rng.integers(level, 2 * level, C)
        bias = rng.integers(-5, 6, C)
        constants = {"threshold": threshold, "bias": bias, "v0": threshold // 2}
        end = low if rule == "lossless" else 0
        nodes.append(IF(name=name, source=nodes[-1].name, **constants, rule=rule, low=end))

    conv("first", "input", 2, 3)
    fire("first_if", 60, rule)
    nodes.append(MaxPool(name="max", source="first_if", kernel=2, stride=2))
    conv("a", "max", C, 3)
    fire("a_if", 12, inner)
    conv("b", "a_if", C, 3)
    nodes.append(Gain(name="skip", source="max", gain=rng.integers(5, 20, C)))
    nodes.append(Add(name="add", source="b", other="skip"))
    conv("side", "max", C, 1)
    nodes.append(Add(name="add2", source="add", other="side"))
    fire("b_if", 15, "lossless")
    nodes.append(SumPool(name="sum", source="b_if", kernel=3, stride=3))
    nodes.append(Flatten(name="flat", source="sum"))
    nodes.append(Linear(name="last", source="flat", weight=rng.integers(-7, 8, (3, C)), weight_bits=4))
    nodes.append(Readout(name="readout", source="last", bias=rng.integers(-9, 10, 3)))
    return Network(tuple(nodes), steps)


def check(design: Design, share: float = 0.3) -> None:
    """Core models = golden model, and RTL = both at the cycles of the law, under pauses on both sides."""
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 16, (3, *design.network.input.shape))
    frames[1] *= rng.random(frames[1].shape) < 0.2
    words = golden_words(design, golden.run(design.network, frames).outputs)
    for name, found in design.compute(frames).items():
        assert np.array_equal(found, words[name]), f"{name}: core models differ from the golden model"
    pauses = [random_pauses(rng, 6000, share) for _ in range(2)]
    stimulus = make_stimulus(design, frames, source_pauses=pauses[0], sink_pauses=pauses[1])
    top = Top(design)
    got = run_amaranth(top, top.boundaries, stimulus, top.outs)
    differences = compare(predict(design, stimulus, words), got, boundary_infos(design))
    assert not differences, "\n".join(map(str, differences))
    assert len(got.boundaries["last"].cycles) == 3 * design.boundaries[-1].words_per_frame


@pytest.mark.parametrize("steps", [3, 4, *(pytest.param(n, marks=pytest.mark.slow) for n in (7, 15))])
def test_every_cycle(steps: int) -> None:
    made = network(steps)
    design = Design(made, FOLDS)
    bits = steps.bit_length()
    for boundary in design.boundaries:
        if boundary.node in ("first_if", "max", "a_if", "b_if"):
            assert design.summed(boundary) and boundary.format.element_bits == bits, boundary.name
    check(design)


LONG = [pytest.param(*ends, marks=pytest.mark.slow) for ends in ((1, -1), (4, -4), (7, -3))]


@pytest.mark.parametrize(("steps", "low"), [(2, -2), *LONG])
def test_every_cycle_of_both_signs(steps: int, low: int) -> None:
    design = Design(network(steps, low=low), FOLDS)
    form = WordFormat(1, 1, -steps, steps)
    for boundary in design.boundaries:
        if boundary.node in ("first_if", "max", "a_if", "b_if"):
            assert boundary.format == replace(form, lanes=boundary.format.lanes), boundary.name
    check(design)


@pytest.mark.slow
def test_spikes_of_both_signs_without_counts() -> None:
    check(Design(network(4, low=-3), FOLDS, counts=False))


def test_spikes_of_both_signs_for_causal_neurons() -> None:
    """They take them one by one, from the pool, as they take those of rule ``signed``."""
    design = Design(network(3, low=-2, inner="causal"), FOLDS | {"a": Fold(4, 2, 1)})
    assert {b.format.steps for b in design.boundaries if b.node in ("first_if", "max")} == {3}
    check(design)


@pytest.mark.slow
def test_without_counts_and_behind_causal_neurons() -> None:
    spikes = Design(network(4), FOLDS, counts=False)
    assert not any(spikes.summed(boundary) for boundary in spikes.boundaries)
    check(spikes)
    causal = Design(network(4, "causal"), FOLDS)
    assert causal.summed(next(b for b in causal.boundaries if b.name == "first"))
    check(causal)


@pytest.mark.slow
def test_zero_counts_are_skipped() -> None:
    folds = FOLDS | {name: replace(FOLDS[name], skip=True) for name in ("a", "last")} | {"a": Fold(4, 1, 1, skip=True)}
    for counts in (True, False):
        check(Design(network(4), folds, counts))


def test_a_sum_that_is_zero_over_time_alone_is_a_zero_word() -> None:
    """Counts 2, -1, -1, 0 have the sum 0, their spikes -1 and 1: skipped as counts, not one by one."""
    one = np.ones((2, 1, 1, 1), int)
    v0 = np.array([[2, -1], [-1, 0]])[None].repeat(2, 0)
    made = Network((
        Input(name="input", shape=(1, 2, 2), high=1),
        Conv2d(name="conv", source="input", weight=one, weight_bits=2),
        IF(name="if", source="conv", threshold=one[:, 0, 0, 0], bias=0 * one[:, 0, 0, 0], v0=v0, rule="lossless",
           low=-3),
        SumPool(name="sum", source="if", kernel=2, stride=2),
        Conv2d(name="next", source="sum", weight=one.repeat(2, 1), weight_bits=2),
        IF(name="end", source="next", threshold=one[:, 0, 0, 0], bias=0 * one[:, 0, 0, 0], v0=one[:, 0, 0, 0],
           rule="lossless"),
        Flatten(name="flat", source="end"),
        Linear(name="last", source="flat", weight=np.ones((2, 2), int), weight_bits=2),
        Readout(name="out", source="last", bias=[0, 1]),
    ), 3)  # fmt: skip
    outputs = golden.run(made, np.zeros((1, 1, 2, 2), int)).outputs
    assert outputs["sum"][0, :, 0, 0, 0].tolist() == [-1, 1, 0]
    folds = {"conv": Fold(2, 1, 1), "sum": Fold(2, 2, 1), "next": Fold(2, 1, 1, skip=True), "last": Fold(2, 2, 1)}
    for counts, share in ((True, 0.5), (False, 1.0)):  # of two words, one ends the walk
        assert WordRates(made, outputs, counts).share("next", 1) == share
        design = Design(made, folds, counts)
        words = golden_words(design, outputs)
        assert words["next.width"].any() != counts
        for name, found in design.compute(np.zeros((1, 1, 2, 2), int)).items():
            assert np.array_equal(found, words[name]), name


def test_verilog_and_the_switch(tmp_path: Path) -> None:
    made = network(4)
    frames = np.random.default_rng(2).integers(0, 16, (6, *made.input.shape))
    widths = []
    for counts in (True, False):
        design = Design(made, FOLDS, counts)
        contents = emit.write(design, tmp_path)
        assert emit.read(tmp_path)[0].counts is counts is contents["counts"]
        widths.append([b["width"] for b in contents["boundaries"] if b["node"] == "a_if"])
        assert [b["counts"] for b in contents["boundaries"] if b["node"] == "a_if"] == [counts] * len(widths[-1])
        if counts:
            run = verify(design, contents, tmp_path, frames, pauses=0.3, resets=((90, 1),))
            assert run.passed, str(run.differences[0])
    assert [4 * few for few in widths[0]] == [3 * many for many in widths[1]]


def test_differences_are_shown_as_counts() -> None:
    design = Design(network(4), FOLDS)
    frames = np.zeros((2, *design.network.input.shape), int)
    words = golden_words(design, golden.run(design.network, frames).outputs)
    expected = predict(design, make_stimulus(design, frames), words)
    words["max"] = words["max"].copy()
    words["max"][3] ^= 1
    got = predict(design, make_stimulus(design, frames), words)
    (difference,) = compare(expected, got, boundary_infos(design))
    text = str(difference)
    assert "x 1, count of spikes: expected" in text and "step" not in text
    info = next(info for info in boundary_infos(design) if info.name == "max")
    assert "Transfers on max (counts of spikes)" in difference_text(difference, expected, got, info)
