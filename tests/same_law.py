"""The compiled cycle law and the one in Python, run side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from unittest import mock

import numpy as np

from spikeloom.gen.design import Design
from spikeloom.gen.lowering import timing
from spikeloom.hdl.cores.window.law import WindowLaw
from spikeloom.hdl.streams import compiled
from spikeloom.hdl.streams.law import Process, solve
from spikeloom.sim.trace import Stimulus


def solve_both(made: Callable[[], Sequence[Process]]) -> Sequence[Process]:
    """Solve what ``made`` makes, links and all, by both laws; all events are the same. Return that of Python."""
    python, other = made(), made()
    solve(python)
    assert compiled.solved(other), "there is a compiler, and every process has a table"
    for law, its in zip(python, other, strict=True):
        for a, b in zip((*law.ins, *law.outs), (*its.ins, *its.outs), strict=True):
            assert a.taken == np.asarray(b.taken).tolist()
        if isinstance(law, WindowLaw):
            same(law, its)
    return python


def laws_agree(design: Design, stimulus: Stimulus, words: Mapping[str, np.ndarray]) -> None:
    """All events of the run are the same by both laws, and so is what is known of the stages. ``words`` of all
    boundaries, for stages that skip some."""
    run = (len(stimulus.words), stimulus.source_pauses, stimulus.sink_pauses, design.costs(words))
    with mock.patch.object(timing, "LARGE", 1 << 60):
        python = design.law(*run)
    with mock.patch.object(timing, "LARGE", 0):
        other = design.law(*run)
    assert python.whole == other.whole
    for name, cycles in python.transfers.items():
        assert np.array_equal(cycles, other.transfers[name]), name
    for name, law in python.stages.items():
        same(law, other.stages[name])


def same(law: WindowLaw, other: WindowLaw) -> None:
    """Two laws of a stage, the first by Python and the second compiled, know the same."""
    assert isinstance(law.decided, list) and isinstance(other.decided, np.ndarray), "each by its own way"
    assert law.decided == other.decided.tolist() and law.started == other.started.tolist(), law.spec
    assert not law.decided or (law.rows_before, law.occupied) == (other.rows_before, other.occupied)
    assert [skip.occupied for skip in law.skips] == [skip.occupied for skip in other.skips]
