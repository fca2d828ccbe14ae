"""The environment of a design and the recorder of its boundaries, cycle by cycle."""

from __future__ import annotations

import numpy as np
import pytest

from spikeloom.sim.environment import MAX_VIOLATIONS, VIOLATIONS, Environment, Recorder, checked
from spikeloom.sim.trace import Stimulus


def words(*values: int) -> np.ndarray:
    return np.array(values, np.uint32).reshape(-1, 1)


def test_what_fits_the_ports() -> None:
    assert checked(Stimulus(words(7, 0), 0), 3).words.tolist() == [[7], [0]]
    assert checked(Stimulus(words(0xFFFF_FFFF), 5), 32).cycles == 5
    assert checked(Stimulus(words(1, 2), 9, resets=((4, 2), (0, 0))), 3).resets == ((0, 0), (4, 2))
    assert checked(Stimulus(words(1), 2, sink_pauses=np.ones(3, bool)), 1, 2).sink_pauses.tolist() == [[True] * 3] * 2


@pytest.mark.parametrize(
    ("stimulus", "message"),
    [
        (Stimulus(words(8), 5), "Input words must have 3 bits, found one with more"),
        (Stimulus(np.zeros((2, 2)), 5), r"Input words of 3 bits must have shape \(n, 1\), not \(2, 2\)"),
        (Stimulus(words(1), -1), "Cycles must not be negative, not -1"),
        (Stimulus(words(1, 2), 9, resets=((1, 3),)), r"Reset must be \(cycle, word 0\.\.2\), not \(1, 3\)"),
        (Stimulus(words(1, 2), 9, resets=((1, -1),)), r"not \(1, -1\)"),
        (Stimulus(words(1, 2), 9, resets=((-1, 0),)), r"not \(-1, 0\)"),
        (Stimulus(words(1, 2), 9, resets=((3, 0), (3, 1))), r"Resets must be in different cycles, not \[3, 3\]"),
    ],
)
def test_what_does_not(stimulus: Stimulus, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked(stimulus, 3)


def test_source_and_sinks_cycle_by_cycle() -> None:
    """A word once offered stays until it is taken, whatever the pauses; without one the payload is all ones."""
    pauses = np.array([True, False, True, True, False], bool)
    sinks = np.array([[True, False], [False, True]])
    stimulus = Stimulus(words(5, 6, 7), 9, source_pauses=pauses, sink_pauses=sinks, resets=((7, 1),))
    environment = Environment(stimulus, 4, 2)
    assert environment.reset and not environment.valid and environment.payload == 15
    seen = []
    for cycle, ready in enumerate([True, False, True, True, True, True, True, True, True]):
        environment.begin(cycle)
        seen.append((environment.reset, environment.valid, environment.payload, environment.readies))
        environment.end(ready)
    assert seen == [
        (False, False, 15, [False, True]),
        (False, True, 5, [True, False]),
        (False, True, 5, [True, True]),
        (False, False, 15, [True, True]),
        (False, True, 6, [True, True]),
        (False, True, 7, [True, True]),
        (False, False, 15, [True, True]),
        (True, False, 15, [True, True]),
        (False, True, 6, [True, True]),
    ]


def test_the_rules_of_a_stream_are_watched() -> None:
    recorder = Recorder({"a": 4, "b": 40})
    for cycle, (valid, ready, word) in enumerate(
        [(True, False, 3), (True, False, 4), (True, True, 4), (True, False, 9), (False, True, 0), (False, True, 0)]
    ):
        recorder.sample(cycle, 0, valid, ready, lambda word=word: word)
        recorder.sample(cycle, 1, cycle == 2, True, lambda: 1 << 39)
    recorder.sample(6, 0, True, False, lambda: 1)
    recorder.reset()  # nothing waits after it
    recorder.sample(8, 0, False, True, lambda: 0)
    trace = recorder.trace()
    assert trace.boundaries["a"].cycles.tolist() == [2] and trace.boundaries["a"].words.tolist() == [[4]]
    assert trace.boundaries["b"].words.tolist() == [[0, 1 << 7]]
    assert trace.violations == (
        (1, "a", "payload changed before the transfer"), (4, "a", "valid fell before the transfer")
    )  # fmt: skip


def test_the_mark_of_the_last_word_is_watched() -> None:
    recorder = Recorder({"a": 4, "o": 4}, {"o": 2})
    shown = [(True, False), (True, True), (True, True), (False, False), (True, False), (True, False), (True, True)]
    for cycle, (ready, last) in enumerate(shown):
        recorder.sample(cycle, 0, True, ready, lambda: 1, last=True)  # nobody knows how long its frames are
        recorder.sample(cycle, 1, True, ready, lambda: 1, last)
    recorder.reset()  # a frame begins
    recorder.sample(8, 1, True, True, lambda: 1, last=False)
    recorder.sample(9, 1, False, True, lambda: 1, last=False)
    recorder.sample(10, 1, True, True, lambda: 1, last=True)
    assert recorder.trace().violations == tuple((cycle, "o", VIOLATIONS["last"]) for cycle in (2, 3, 4))


def test_a_thousand_violations_are_enough() -> None:
    recorder = Recorder({"a": 4})
    for cycle in range(2 * MAX_VIOLATIONS + 10):
        recorder.sample(cycle, 0, cycle % 2 == 0, False, lambda: 1)
    found = recorder.trace().violations
    assert len(found) == MAX_VIOLATIONS and found[0][0] == 1 and found[-1][0] == 2 * MAX_VIOLATIONS - 1
