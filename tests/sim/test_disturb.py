"""Pauses and resets at random: their share, their lengths, who pauses when, and that no frame is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import small

from spikeloom.gen.design import Design, Top
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.fold import Fold
from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Flatten, Input, Linear, Readout
from spikeloom.sim.compare import compare
from spikeloom.sim.disturb import SHORT, random_environment, random_pauses
from spikeloom.sim.predict import MARGIN, boundary_infos, foresee, golden_words
from spikeloom.sim.simulators.amaranth_sim import run_amaranth
from spikeloom.sim.trace import SimulationError, Stimulus
from spikeloom.sim.verify import verify


def lengths(paused: np.ndarray) -> np.ndarray:
    """Cycles of each run of pauses."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], paused.astype(int), [0]])))
    return edges[1::2] - edges[::2]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("longest", [SHORT, 2000])
def test_the_share_of_pauses(share: float, longest: int) -> None:
    paused = random_pauses(np.random.default_rng(1), 40_000, share, longest)
    assert len(paused) == 40_000 and paused.sum() == round(share * 40_000)
    assert np.array_equal(paused, random_pauses(np.random.default_rng(1), 40_000, share, longest))
    if share == 0.3:
        runs = lengths(paused)
        assert (runs <= SHORT).sum() > 500  # words by themselves are met
        assert (runs.max() > 400) == (longest == 2000)
        decades = np.histogram(runs, [SHORT, 40, 200, 2001])[0]
        assert (decades > 0).all() if longest == 2000 else decades[1:].sum() == 0
    assert len(random_pauses(np.random.default_rng(1), 0, share, longest)) == 0


def test_short_pauses_have_all_lengths() -> None:
    runs = lengths(random_pauses(np.random.default_rng(1), 40_000, 0.05))
    assert (np.bincount(runs, minlength=SHORT + 1)[1 : SHORT + 1] > 20).all()


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("words", [[64, 10], [64, 10, 3], [64, 10, 3, 7]])
def test_everyone_pauses_for_the_share_of_a_short_run(words: list[int], share: float) -> None:
    """However long a phase would have to be: while one has it, nobody else pauses."""
    source, sinks = random_environment(np.random.default_rng(3), 10_000, 10_000, share, words, 5_000, 9_000)
    assert np.allclose(np.stack([source, *sinks]).mean(axis=1), share, atol=0.001)


@pytest.mark.parametrize("words", [[64, 10], [64, 10, 3]])
def test_everyone_stops_once_while_nobody_else_does(words: list[int]) -> None:
    run, frame, drain = 100_000, 5_000, 9_000
    source, sinks = random_environment(np.random.default_rng(3), run, 250_000, 0.3, words, frame, drain)
    assert sinks.shape == (len(words) - 1, len(source)) and len(source) >= 250_000
    each = np.stack([source, *sinks])
    for stretch in np.split(each, range(run, each.shape[1], run), axis=1):
        assert np.allclose(stretch.mean(axis=1), 0.3, atol=0.001)
        for stream, paused in enumerate(stretch):
            others = np.delete(stretch, stream, axis=0).any(axis=0)
            alone = lengths(paused & ~others)
            assert alone.max() >= min(drain, run * 0.7 / (2 * len(sinks)) * 2 / 3) - 1
            # Then single words, further apart than the design takes them.
            gap = -(-3 * frame // (2 * words[stream]))
            assert (alone == gap - 1).sum() >= min(5, words[stream] - 1)


def two_outputs() -> Design:
    """A network with two read-outs behind one fork."""
    rng = np.random.default_rng(5)
    network = Network(
        (
            Input(name="input", shape=(1, 2, 2), high=3),
            Flatten(name="flat", source="input"),
            Linear(name="hidden", source="flat", weight=rng.integers(-3, 4, (4, 4)), weight_bits=3),
            IF(name="fire", source="hidden", threshold=[3, 4, 2, 5], bias=[1, 0, 0, 1], v0=[1, 2, 0, 1]),
            Linear(name="early", source="fire", weight=rng.integers(-3, 4, (3, 4)), weight_bits=3),
            Readout(name="first", source="early", bias=[0, 1, 2]),
            Linear(name="last", source="fire", weight=rng.integers(-3, 4, (2, 4)), weight_bits=3),
            Readout(name="second", source="last", bias=[1, -1]),
        ),
        steps=2,
    )
    return Design(network, {name: Fold(1, 1, 1) for name in ("hidden", "early", "last")})


def test_sinks_pause_on_their_own(tmp_path: Path) -> None:
    design = two_outputs()
    frames = np.random.default_rng(1).integers(0, 4, (8, 1, 2, 2))
    words = golden_words(design, golden.run(design.network, frames).outputs)
    ends = {}
    for stopped in (0, 1):
        pauses = np.zeros((2, 400), bool)
        pauses[stopped, 50:350] = True
        stimulus, expected = foresee(design, frames, words, sink_pauses=pauses)
        top = Top(design)
        got = run_amaranth(top, top.boundaries, stimulus, top.outs)
        assert compare(expected, got, boundary_infos(design)) == []
        ends[stopped] = [(expected.boundaries[b.name].cycles[:12] < 350).sum() for b in design.outputs.values()]
    assert ends[0] != ends[1], "the output that is not stopped goes on for a while"
    contents = emit.write(design, tmp_path)
    for simulator in ("verilator", "amaranth"):
        outcome = verify(design, contents, tmp_path, frames, simulator=simulator, pauses=0.4, seed=2)
        assert outcome.passed, str(outcome.differences[0])
    with pytest.raises(ValueError, match=r"Pauses of 2 sinks must have shape \(n,\) or \(2, n\), not \(3, 5\)"):
        run_amaranth(top, top.boundaries, Stimulus(stimulus.words, 9, sink_pauses=np.zeros((3, 5), bool)), top.outs)


@pytest.mark.parametrize("options", [{}, {"jobs": 2}, {"pauses": 0.3}])
def test_resets_lose_no_frame(options: dict, tmp_path: Path) -> None:
    design, frames = small.design(), small.frames(40)
    contents = emit.write(design, tmp_path)
    plain = verify(design, contents, tmp_path, frames, simulator="amaranth", seed=3, **options)
    outcome = verify(design, contents, tmp_path, frames, simulator="amaranth", seed=3, resets=7, **options)
    again = verify(design, contents, tmp_path, frames, simulator="amaranth", seed=4, resets=7, **options)
    assert outcome.passed and again.passed and outcome.cycles != again.cycles
    assert np.array_equal(outcome.answers, plain.answers)
    assert outcome.transfers > plain.transfers and outcome.cycles > plain.cycles


def test_resets_that_do_not_fit(tmp_path: Path) -> None:
    design = small.design()
    contents = emit.write(design, tmp_path)
    with pytest.raises(SimulationError, match=r"900 resets do not fit into \d+ cycles; simulate more frames"):
        verify(design, contents, tmp_path, small.frames(2), simulator="amaranth", resets=900)
    with pytest.raises(ValueError, match="resets must not be negative, not -1"):
        verify(design, contents, tmp_path, small.frames(2), resets=-1)


def test_a_frame_too_many_would_come_out() -> None:
    """As many cycles follow as a frame takes, and the sinks are ready in them."""
    design, frames = small.design(), small.frames(6)
    words = golden_words(design, golden.run(design.network, frames).outputs)
    stimulus, expected = foresee(design, frames, words, sink_pauses=np.ones(2000, bool))
    last = max(int(transfers.cycles[-1]) for transfers in expected.boundaries.values())
    first = int(expected.boundaries["last"].cycles[2])
    assert first == 2002 and stimulus.cycles == last + 1 + first + 1 and last < stimulus.cycles - MARGIN
    more, _ = foresee(design, frames[:3], golden_words(design, golden.run(design.network, frames[:3]).outputs))
    assert np.asarray(stimulus.sink_pauses).shape[-1] <= last + 1
    # A design that repeats its last frame, as a source that sends it once more.
    repeated = Stimulus(np.concatenate([more.words, more.words[-4:]]), more.cycles)
    top = Top(design)
    got = run_amaranth(top, top.boundaries, repeated)
    assert len(got.boundaries["last"].cycles) == 4 * 3
