"""An accelerator with maps: a result and a frame on every map for every packet, whatever packets and readers do."""

from __future__ import annotations

import map_nets
import numpy as np
import pytest
from frame_bench import Bench, Packet, expected, expected_maps, packets_of, random_packets

from spikeloom.gen.design import Design
from spikeloom.gen.tops.accelerator import GOOD, Accelerator
from spikeloom.hdl.host.maps import MapForm
from spikeloom.hdl.streams.words import WordFormat

DESIGNS = {"maps": map_nets.mixed(classes=False), "maps and classes": map_nets.mixed()}


def check(bench: Bench, design: Design, packets: list[Packet]) -> None:
    """All results and maps are those of the golden model, and the counters say so."""
    want = expected(design, packets)
    assert bench.run(len(packets)) == want
    for port, frames in expected_maps(design, packets).items():
        assert bench.maps[port] == [*frames, []], port
    errors = sum(result.status != GOOD for result in want)
    assert bench.counters == {"frames": len(want), "errors": errors, "stalls_in": bench.stalls[0],
                              "stalls_out": bench.stalls[1], "busy": 0}  # fmt: skip


@pytest.mark.parametrize("name", DESIGNS)
def test_packets_of_any_length(name: str) -> None:
    design = DESIGNS[name]
    for seed, (source, sink) in enumerate([(0.0, 0.0), (0.3, 0.6)]):
        rng = np.random.default_rng(seed)
        packets = random_packets(design, rng, 4, 1, 0.6 * seed)
        check(Bench(Accelerator(design, 1), packets, rng, source, sink), design, packets)


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("at", [30, pytest.param(61, marks=pytest.mark.slow), 95])
def test_a_soft_reset_in_the_middle_of_a_map(name: str, at: int) -> None:
    design, rng = DESIGNS[name], np.random.default_rng(at)
    packets = random_packets(design, rng, 4, 1, 0.3)
    bench = Bench(Accelerator(design, 1), packets, rng, 0.0, 0.2, resets=((at, 2),))
    want = packets[2:]
    assert bench.run(2) == expected(design, want)
    assert {port: [*frames, []] for port, frames in expected_maps(design, want).items()} == bench.maps
    assert bench.counters["frames"] == 2 and not bench.counters["busy"]


@pytest.mark.parametrize("port", ["o_near", "o_far"])
def test_a_map_that_is_not_read_stops_all_and_loses_nothing(port: str) -> None:
    """And all that is under way counts as busy, until it has left."""
    design = DESIGNS["maps"]
    packets = packets_of(design, map_nets.frames(design.network, 6))
    bench = Bench(Accelerator(design), packets, np.random.default_rng(1), stuck=(port, 0, 400))
    check(bench, design, packets)
    assert bench.seen == (True, False), "busy, and no pixel is taken"
    (last,) = packets[:1]
    bench = Bench(Accelerator(design), [last], np.random.default_rng(1), stuck=(port, 0, 300))
    check(bench, design, [last])
    assert bench.seen == (True, True), "a map that is left makes it busy"


def test_frames_follow_each_other_without_a_gap() -> None:
    """The ports of maps cost no cycle: the source stalls as often as the cycle law says."""
    design = DESIGNS["maps"]
    frames = map_nets.frames(design.network, 6)
    bench = Bench(Accelerator(design), packets_of(design, frames), np.random.default_rng(0))
    bench.run(6)
    law = design.law(6 * 16)
    assert bench.stalls[0] == law.transfers[design.boundaries[0].name][-1] + 1 - 6 * 16


def test_numbers_have_the_fewest_whole_bytes() -> None:
    """In two's complement, so that a map without a sign has a bit more."""
    ranges = [(-128, 127), (0, 127), (0, 128), (-129, 0), (-(1 << 15), 0), (0, 1 << 15), (-(1 << 31), (1 << 31) - 1)]
    assert [MapForm(WordFormat(2, 1, *ends), 3).bits for ends in ranges] == [8, 8, 16, 16, 16, 32, 32]
    assert MapForm(WordFormat(3, 1, -1, 1), 5).width == 24 and MapForm(WordFormat(3, 1, -1, 1), 5).frame_bytes == 15
    with pytest.raises(ValueError, match=r"32 bits at most, not those of 0\.\.2147483648"):
        MapForm(WordFormat(1, 1, 0, 1 << 31), 1)
