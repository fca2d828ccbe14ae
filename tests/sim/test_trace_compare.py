"""Every kind of difference is found and placed: frame, cycle, channel, pixel, time step."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sim_pipeline import Pipeline, model, random_stimulus

from spikeloom.hdl.streams.words import WordFormat
from spikeloom.sim.compare import BoundaryInfo, ElementDifference, Kind, Summary, compare, summarize
from spikeloom.sim.show import difference_text
from spikeloom.sim.simulators.amaranth_sim import run_amaranth
from spikeloom.sim.trace import Trace, Transfers

# Frames of 4 channels, 2 rows, 3 columns; words of 2 channels with 4 time steps each: 12 words a frame.
INFO = BoundaryInfo("conv1", WordFormat(2, 4, -3, 3), 12, (4, 2, 3))
FIRST = BoundaryInfo("i", WordFormat(1, 1, 0, 255), 6, (1, 2, 3))
INFOS = [FIRST, INFO]


def _expected() -> Trace:
    rng = np.random.default_rng(0)
    elements = rng.integers(-3, 4, (36, 2, 4))
    elements[:, 0, 0] = np.arange(36) % 7 - 3  # neighbours differ
    pixels = Transfers(2 * np.arange(18), np.arange(18, dtype=np.uint32).reshape(-1, 1))
    return Trace({"i": pixels, "conv1": Transfers(5 + 2 * np.arange(36), INFO.format.pack(elements))})


EXPECTED = _expected()


def _changed(cycles: np.ndarray, words: np.ndarray, name: str = "conv1") -> Trace:
    return Trace({**EXPECTED.boundaries, name: Transfers(cycles, words)})


def _copy(name: str = "conv1") -> tuple[np.ndarray, np.ndarray]:
    return EXPECTED.boundaries[name].cycles.copy(), EXPECTED.boundaries[name].words.copy()


def test_equal_traces() -> None:
    assert compare(EXPECTED, EXPECTED, INFOS) == []
    assert summarize(EXPECTED, 100) == Summary(2, 54, 100)


def test_word_is_placed() -> None:
    cycles, words = _copy()
    elements = INFO.format.unpack(words)
    # Transfer 31: frame 2, word 7: pixel 3 (y 1, x 0), the second group of channels.
    before = int(elements[31, 1, 2])
    elements[31, 1, 2] = after = -3 if before != -3 else 3
    elements[33] = 0
    (difference,) = compare(EXPECTED, _changed(cycles, INFO.format.pack(elements)), INFOS)
    assert (difference.kind, difference.boundary, difference.cycle) == (Kind.WORD, "conv1", 67)
    assert (difference.index, difference.frame, difference.word) == (31, 2, 7)
    assert difference.elements == (ElementDifference(3, 1, 0, 2, before, after),)
    assert str(difference) == (
        f"frame 2, conv1, cycle 67, word 7 of the frame: channel 3, y 1, x 0, step 2: expected {before}, got {after}"
    )


@pytest.mark.parametrize(("shift", "kind", "cycle"), [(1, Kind.LATE, 45), (3, Kind.LATE, 45), (-1, Kind.EARLY, 44)])
def test_late_and_early(shift: int, kind: Kind, cycle: int) -> None:
    cycles, words = _copy()
    cycles[20:] += shift
    (difference,) = compare(EXPECTED, _changed(cycles, words), INFOS)
    assert (difference.kind, difference.cycle, difference.index) == (kind, cycle, 20)
    assert (difference.frame, difference.word) == (1, 8)
    assert (difference.expected_cycle, difference.got_cycle) == (45, 45 + shift)
    assert f"{abs(shift)} cycle{'s' * (abs(shift) != 1)} {kind.value}" in str(difference)


@pytest.mark.parametrize("index", [0, 13, 35])
def test_missing(index: int) -> None:
    cycles, words = _copy()
    got = _changed(np.delete(cycles, index), np.delete(words, index, axis=0))
    (difference,) = compare(EXPECTED, got, INFOS)
    assert (difference.kind, difference.index, difference.cycle) == (Kind.MISSING, index, 5 + 2 * index)
    assert (difference.frame, difference.word, difference.got_cycle) == (index // 12, index % 12, None)


@pytest.mark.parametrize("index", [0, 13, 36])
def test_extra(index: int) -> None:
    cycles, words = _copy()
    cycles = np.insert(cycles, index, 4 + 2 * index)
    words = np.insert(words, index, 0x123456, axis=0)
    (difference,) = compare(EXPECTED, _changed(cycles, words), INFOS)
    assert (difference.kind, difference.index, difference.cycle) == (Kind.EXTRA, index, 4 + 2 * index)
    assert (difference.frame, difference.word, difference.expected_cycle) == (index // 12, index % 12, None)


def test_another_word_in_another_cycle() -> None:
    cycles, words = _copy()
    cycles[3:] += 40
    words[3] ^= 1
    (difference,) = compare(EXPECTED, _changed(cycles, words), INFOS)
    assert (difference.kind, difference.cycle, difference.got_cycle) == (Kind.WORD, 11, 51)
    assert "transferred in cycle 51" in str(difference)


def test_broken_rule_and_order_in_time() -> None:
    cycles, words = _copy("i")
    cycles[10:] += 1
    violations = ((30, "conv1", "payload changed before the transfer"), (19, "conv1", "valid fell before the transfer"))
    got = dataclasses.replace(_changed(cycles, words, "i"), violations=violations)
    found = compare(EXPECTED, got, INFOS)
    assert [(difference.kind, difference.cycle) for difference in found] == [(Kind.RULE, 19), (Kind.LATE, 20)]
    assert str(found[0]) == "frame 0, conv1, cycle 19, word 7 of the frame: valid fell before the transfer"


def test_same_cycle_names_the_boundary_nearer_to_the_input() -> None:
    pixel_cycles, pixels = _copy("i")
    words = EXPECTED.boundaries["conv1"].words.copy()
    words[5] ^= 1
    shifted = EXPECTED.boundaries["conv1"].cycles - 1
    expected = Trace({**EXPECTED.boundaries, "conv1": Transfers(shifted, EXPECTED.boundaries["conv1"].words)})
    pixels[7] ^= 1
    got = Trace({"i": Transfers(pixel_cycles, pixels), "conv1": Transfers(shifted, words)})
    assert [difference.boundary for difference in compare(expected, got, INFOS)] == ["i", "conv1"]
    assert {difference.cycle for difference in compare(expected, got, INFOS)} == {14}


def test_frames_after_a_reset() -> None:
    # Reset in cycle 40 goes back to frame 1: conv1 has sent 18 words by then, the next one begins frame 1 anew.
    cycles, words = _copy()
    words[18 + 14] ^= 1
    (difference,) = compare(EXPECTED, _changed(cycles, words), INFOS, resets=[(40, 6)])
    assert (difference.frame, difference.word) == (2, 2)


def test_shown_side_by_side() -> None:
    cycles, words = _copy()
    words[20] ^= 0b111
    got = _changed(cycles, words)
    (difference,) = compare(EXPECTED, got, INFOS)
    lines = difference_text(difference, EXPECTED, got, INFO, around=2).splitlines()
    assert lines[0] == str(difference)
    rows = [line for line in lines if line.count("│") > 4]
    assert len(rows) == 5 and [">" in row for row in rows] == [False, False, True, False, False]
    values = INFO.format.unpack(np.stack([EXPECTED.boundaries["conv1"].words[20], words[20]]))
    for side in values.tolist():
        assert " | ".join(" ".join(map(str, lane)) for lane in side) in rows[2]


def test_shown_at_the_end_of_a_short_trace() -> None:
    cycles, words = _copy()
    got = _changed(cycles[:-2], words[:-2])
    (difference,) = compare(EXPECTED, got, INFOS)
    rows = [line for line in difference_text(difference, EXPECTED, got, INFO, 1).splitlines() if line.count("│") > 4]
    assert difference.kind is Kind.MISSING and [row.count("│ - ") for row in rows] == [0, 1, 1]


def test_wrong_descriptions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(4, 2, 3\) in words of 2 channels has 12 words, not 6"):
        BoundaryInfo("conv1", INFO.format, 6, (4, 2, 3))
    with pytest.raises(ValueError, match="Simulated trace has the boundaries i, not i, conv1"):
        compare(EXPECTED, Trace({"i": EXPECTED.boundaries["i"]}), INFOS)
    cycles, words = _copy()
    with pytest.raises(ValueError, match=r"Simulated words of boundary 'conv1' .* shape \(36, 1\), not \(35, 1\)"):
        compare(EXPECTED, _changed(cycles, words[1:]), INFOS)
    with pytest.raises(ValueError, match="Words of boundary 'conv1' have 1 and 2 limbs, expected and simulated"):
        compare(EXPECTED, _changed(cycles, np.pad(words, ((0, 0), (0, 1)))), INFOS)


def test_fields_above_the_elements() -> None:
    # A read-out: the word has a second limb above its 24 bits of elements.
    words = [np.pad(EXPECTED.boundaries["conv1"].words, ((0, 0), (0, 1))) for _ in range(2)]
    words[1][9, 1] = 5
    cycles = EXPECTED.boundaries["conv1"].cycles
    traces = [Trace({**EXPECTED.boundaries, "conv1": Transfers(cycles, side)}) for side in words]
    assert compare(traces[0], traces[0], INFOS) == []
    (difference,) = compare(traces[0], traces[1], INFOS)
    assert (difference.kind, difference.index, difference.elements) == (Kind.WORD, 9, ())
    assert "the bits above them" in str(difference)
    assert str(difference) in difference_text(difference, traces[0], traces[1], INFO)


def test_channels_behind_idle_lanes() -> None:
    """Five channels in words of three: the first word of a pixel has an idle lane, then the channels follow."""
    info = BoundaryInfo("wide", WordFormat(3, 1, 0, 15), 4, (5, 1, 2))
    cycles, words = np.arange(4), np.zeros((4, 1), np.uint32)
    wrong = words.copy()
    wrong[2], wrong[3] = 0x021, 0x300  # the idle lane and the first channel of the second pixel, and its last channel
    sides = [Trace({"wide": Transfers(cycles, side)}) for side in (words, wrong)]
    (difference,) = compare(sides[0], sides[1], [info])
    assert [element.channel for element in difference.elements] == [-1, 0]
    assert [str(element) for element in difference.elements] == [
        "an idle lane, y 0, x 1, step 0: expected 0, got 1",
        "channel 0, y 0, x 1, step 0: expected 0, got 2",
    ]
    wrong[2] = 0
    (difference,) = compare(sides[0], Trace({"wide": Transfers(cycles, wrong)}), [info])
    assert [element.channel for element in difference.elements] == [4]


def test_pipeline_with_a_flaw_is_caught() -> None:
    infos = [
        BoundaryInfo(name, WordFormat(lanes, steps, 0, 1), words, shape)
        for name, lanes, steps, words, shape in (
            ("i", 5, 8, 4, (5, 2, 2)),
            ("wide", 9, 8, 4, (9, 2, 2)),
            ("fifo", 9, 8, 4, (9, 2, 2)),
            ("o", 5, 4, 2, (5, 1, 2)),
        )
    ]
    stimulus = random_stimulus(1, 300, 800, source=0.3, sink=0.3, resets=3)
    expected = model(stimulus)
    found = {}
    for flaw in ("", "peek", "payload", "valid"):
        design = Pipeline(flaw)
        found[flaw] = compare(expected, run_amaranth(design, design.boundaries, stimulus), infos, stimulus.resets)
    assert found[""] == []
    assert (found["peek"][0].kind, found["peek"][0].boundary) == (Kind.WORD, "wide")
    assert found["peek"][0].elements[0].channel == 0
    for flaw in ("payload", "valid"):
        assert (found[flaw][0].kind, found[flaw][0].boundary) == (Kind.RULE, "wide")
