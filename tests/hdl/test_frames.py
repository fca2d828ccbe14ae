"""Packets into frames, frames into packets: wrong lengths, stalls, soft resets, against the golden model."""

import numpy as np
import pytest
from frame_bench import Bench, Packet, expected, packets_of, perceptron, random_packets, small_cnn

from spikeloom.gen.accelerator import GOOD, Accelerator, Result, parse_result
from spikeloom.gen.design import Design
from spikeloom.gen.layers import PlanError
from spikeloom.gen.plan import Fold
from spikeloom.hdl.frames import Framer
from spikeloom.hdl.words import WordFormat
from spikeloom.quant.network import Network
from spikeloom.quant.nodes import Input, Linear, Readout

DESIGNS = {
    "one word in, one out": (perceptron(Fold(6, 12, 1)), None),
    "a pixel a word": (perceptron(Fold(6, 1, 1)), None),
    "a logit a word": (perceptron(Fold(1, 3, 1), high=255), None),
    "a byte a beat": (perceptron(Fold(3, 4, 1), high=9), 1),
    "wide beats": (perceptron(Fold(4, 2, 1), hidden=4), 6),
    "no common multiple": (perceptron(Fold(2, 6, 1)), 4),
    "two channels": (small_cnn(), None),
    "bytes of two channels": (small_cnn(4), 1),
}
PAUSES = [(0.0, 0.0), (0.5, 0.0), (0.3, 0.6)]


def counters(results: list[Result], bench: Bench) -> dict[str, int]:
    return {
        "frames": len(results),
        "errors": sum(r.status != GOOD for r in results),
        "stalls_in": bench.stalls[0],
        "stalls_out": bench.stalls[1],
        "busy": 0,
    }


@pytest.mark.parametrize("name", DESIGNS)
def test_packets_of_any_length(name: str) -> None:
    design, lanes = DESIGNS[name]
    for seed, (source, sink) in enumerate(PAUSES):
        rng = np.random.default_rng(seed)
        accelerator = Accelerator(design, lanes)
        packets = random_packets(design, rng, 7, accelerator.lanes, 0.0 if seed == 0 else 0.5)
        want = expected(design, packets)
        bench = Bench(accelerator, packets, rng, source, sink)
        assert bench.run(len(packets)) == want, f"seed {seed}"
        assert not bench.partial and bench.counters == counters(want, bench)


@pytest.mark.parametrize("name", DESIGNS)
def test_a_soft_reset_forgets_the_frames_under_way_and_no_later_one(name: str) -> None:
    design, lanes = DESIGNS[name]
    for seed in range(2):
        rng = np.random.default_rng(seed)
        accelerator = Accelerator(design, lanes)
        packets = random_packets(design, rng, 6, accelerator.lanes, 0.3)
        first = int(rng.integers(1, 4))
        at = int(rng.integers(0, 3 * design.network.input.shape[0] * accelerator.frame_beats // 2 + 40))
        bench = Bench(accelerator, packets, rng, 0.2, 0.5, resets=((at, first),))
        want = expected(design, packets[first:])
        assert bench.run(len(want)) == want, f"seed {seed}, reset in cycle {at}"
        assert bench.counters == counters(want, bench)


def test_frames_follow_each_other_without_a_gap() -> None:
    """The ports cost no cycle: the last of 12 results comes when the cycle law says, and its beats after it."""
    design = small_cnn()
    frames = np.random.default_rng(1).integers(0, 10, (12, 2, 5, 5))
    accelerator = Accelerator(design)
    bench = Bench(accelerator, packets_of(design, frames), np.random.default_rng(0))
    bench.run(12)
    timing = design.law(12 * design.boundaries[0].words_per_frame)
    waits = 25 * 12 - 1 - timing.transfers["i"][-1]
    assert bench.counters["stalls_in"] == -waits


def test_a_packet_without_an_end_loses_no_later_frame_after_a_reset() -> None:
    design, _ = DESIGNS["two channels"]
    good = random_packets(design, np.random.default_rng(3), 3, 1, 0.0)
    broken = Packet(good[0].data[:20], ends=False)
    bench = Bench(Accelerator(design), [broken, *good[1:]], np.random.default_rng(0), resets=((30, 1),))
    assert bench.run(2) == expected(design, good[1:])


def test_errors_name_the_rule() -> None:
    design, _ = DESIGNS["a pixel a word"]
    with pytest.raises(PlanError, match="Bytes of an input beat must divide the 12 bytes of a frame, 5 do not"):
        Accelerator(design, 5)
    weight = np.ones((2, 4), int)
    network = Network(
        (
            Input(name="input", shape=(4, 1, 1), high=1),
            Linear(name="a", source="input", weight=weight, weight_bits=2),
            Readout(name="early", source="a", bias=np.zeros(2, int)),
            Linear(name="b", source="input", weight=weight, weight_bits=2),
            Readout(name="late", source="b", bias=np.zeros(2, int)),
        ),
        1,
    )
    both = Design(network, {"a": Fold(2, 4, 1), "b": Fold(2, 4, 1)})
    with pytest.raises(PlanError, match="room for one read-out, this network has 2: early, late; keep one"):
        Accelerator(both)
    with pytest.raises(ValueError, match="Beats must be a positive integer, not 0"):
        Framer(WordFormat(1, 1, 0, 15), 0, 1)
    with pytest.raises(ValueError, match="A result has a word for the class and one for every logit, not 1 words"):
        parse_result([0])
