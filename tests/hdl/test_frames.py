"""Packets into frames, frames into packets: wrong lengths, stalls, soft resets, against the golden model."""

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from frame_bench import Bench, Packet, expected, packets_of, perceptron, random_packets, small_cnn

from spikeloom.gen.design import Design
from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.tops.accelerator import GOOD, LONG, SHORT, Accelerator, FrameResult, parse_result
from spikeloom.hdl.cores.readout.spec import ReadoutSpec
from spikeloom.hdl.host.frames import Framer, Results, result_beats
from spikeloom.hdl.streams.words import WordFormat
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import Input, Linear, Readout

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


def counters(results: list[FrameResult], bench: Bench) -> dict[str, int]:
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


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_results_wait_for_their_status(lanes: int) -> None:
    """Words and statuses come at random, in any order to each other; a packet has both."""
    rng = np.random.default_rng(lanes)
    ranges = np.array([[-9, 5], [-3, 8], [0, 6], [-2, 2]])
    spec = ReadoutSpec(bias=np.array([3, -2, 0, 9]), i_format=WordFormat(lanes, 1, -9, 8), ranges=ranges)
    currents = rng.integers(ranges[:, 0], ranges[:, 1] + 1, (30, 4))
    logits, best = spec.compute(currents.reshape(-1, lanes, 1))
    words = [int(w) for (w,) in spec.pack(logits, best)]
    statuses = [int(s) for s in rng.integers(0, 3, 30)]
    core, found = Results(spec), []
    simulator = Simulator(core)
    simulator.add_clock(1e-6)

    async def bench(ctx: Any) -> None:
        queues, offered, packet = [words[:], statuses[:]], [False, False], []
        for cycle in range(3000):
            share = (0.3, 0.1) if cycle % 200 < 100 else (0.1, 0.9)
            for k, port in enumerate((core.i, core.status)):
                offered[k] = bool(queues[k]) and (offered[k] or rng.random() < share[k])
                ctx.set(port.valid, offered[k])
                ctx.set(port.payload, queues[k][0] if offered[k] else 3)
            ready = rng.random() < 0.7
            ctx.set(core.o.ready, ready)
            _, _, *taken, valid, word, last = await ctx.tick().sample(
                core.i.ready, core.status.ready, core.o.valid, core.o.payload.data, core.o.payload.last
            )
            for k in range(2):
                if offered[k] and taken[k]:
                    queues[k].pop(0)
                    offered[k] = False
            if valid and ready:
                packet.append(int(word))
                if last:
                    found.append(parse_result(packet))
                    packet = []

    simulator.add_testbench(bench)
    simulator.run()
    want = currents + spec.bias
    assert found == [FrameResult(s, int(r.argmax()), tuple(map(int, r))) for s, r in zip(statuses, want, strict=True)]


def run_framer(framer: Framer, beats: list[tuple[int, bool]]) -> tuple[list[int], list[int]]:
    """Words and statuses that come of beats (byte, last) that never pause."""
    words, statuses = [], []
    simulator = Simulator(framer)
    simulator.add_clock(1e-6)

    async def bench(ctx: Any) -> None:
        k = 0
        ctx.set(framer.o.ready, 1)
        ctx.set(framer.status.ready, 1)
        for _ in range(len(beats) + 20):
            ctx.set(framer.i.valid, k < len(beats))
            if k < len(beats):
                ctx.set(framer.i.payload, {"data": beats[k][0], "last": beats[k][1]})
            _, _, taken, word_valid, word, status_valid, status = await ctx.tick().sample(
                framer.i.ready,
                framer.o.valid,
                framer.o.payload,
                framer.status.valid,
                framer.status.payload,
            )
            k += int(taken and k < len(beats))
            words.extend([int(word)] if word_valid else [])
            statuses.extend([int(status)] if status_valid else [])

    simulator.add_testbench(bench)
    simulator.run()
    return words, statuses


def test_statuses_are_the_numbers_that_hosts_read() -> None:
    """0 good, 1 too short, 2 too long (docs/axi.md, docs/link.md): numbers, for hosts do not import these names."""
    beats = [(k, k == n - 1) for n in (3, 2, 4, 3, 1, 7) for k in range(n)]
    words, statuses = run_framer(Framer(WordFormat(1, 1, 0, 15), 3, 1), beats)
    assert statuses == [0, 1, 2, 0, 1, 2]
    assert words == [0, 1, 2, 0, 1, 0, 0, 1, 2, 0, 1, 2, 0, 0, 0, 0, 1, 2]
    assert (GOOD, SHORT, LONG) == (0, 1, 2)


@pytest.mark.parametrize("high", [1, 2, 3, 9, 127, 128, 254, 255])
def test_every_byte_becomes_a_pixel(high: int) -> None:
    words, _ = run_framer(Framer(WordFormat(1, 1, 0, high), 256, 1), [(k, k == 255) for k in range(256)])
    assert words == [min(k, high) for k in range(256)]


@pytest.mark.parametrize(("beats", "depth"), [(1, 1), (4, 1), (3, 2)])
def test_a_framer_whose_statuses_wait(beats: int, depth: int) -> None:
    """Words and statuses of random packets, in order, whatever the two sinks do; no status is lost for want of room."""
    rng = np.random.default_rng(beats)
    framer = Framer(WordFormat(1, 1, 0, 15), beats, depth)
    lengths = rng.integers(1, 2 * beats + 1, 40)
    pixels = [rng.integers(0, 16, n) for n in lengths]
    stream = [(int(p), k == len(ps) - 1) for ps in pixels for k, p in enumerate(ps)]
    words, statuses = [], []
    simulator = Simulator(framer)
    simulator.add_clock(1e-6)

    async def bench(ctx: Any) -> None:
        k, valid = 0, False
        for _ in range(3000):
            valid = valid or (k < len(stream) and rng.random() < 0.8)
            pixel, last = stream[k] if valid else (0, False)
            readies = rng.random() < 0.9, rng.random() < 0.15
            ctx.set(framer.i.valid, valid)
            ctx.set(framer.i.payload, {"data": pixel, "last": last})
            ctx.set(framer.o.ready, readies[0])
            ctx.set(framer.status.ready, readies[1])
            _, _, taken, *outs = await ctx.tick().sample(
                framer.i.ready, framer.o.valid, framer.o.payload, framer.status.valid, framer.status.payload
            )
            if valid and taken:
                k, valid = k + 1, False
            if outs[0] and readies[0]:
                words.append(outs[1])
            if outs[2] and readies[1]:
                statuses.append(outs[3])

    simulator.add_testbench(bench)
    simulator.run()
    assert statuses == [GOOD if n == beats else SHORT if n < beats else LONG for n in lengths]
    assert words == [int(p) for ps in pixels for p in [*ps[:beats], *[0] * (beats - len(ps))]]


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
    with pytest.raises(ValueError, match="A result has a word for the class and the status at least, not 0"):
        parse_result([])


def test_results_name_as_many_classes_as_16_bits_do() -> None:
    def spec(classes: int) -> ReadoutSpec:
        ranges = np.tile([0, 1], (classes, 1))
        return ReadoutSpec(bias=np.zeros(classes, int), i_format=WordFormat(1, 1, 0, 1), ranges=ranges)

    assert result_beats(spec(65_536)) == 65_537
    with pytest.raises(ValueError, match="A result can name 65,536 classes, not 65,537"):
        result_beats(spec(65_537))
