"""FIFOs of maps, deep enough for slow readers.

A reader of an output that takes W words of a frame evenly over the interval between frames is as slow as it may be: one
that is slower must stop the design in the end. Results come in bursts, a row of windows as soon as the rows that it
needs are there; so where several outputs are read at their mean rates at once, credits for a ready reader
alone would let a head wait for its reader, and the fork before it for the head. The stages of maps get more credits,
which are slots of the FIFO that is there anyway, until the design takes no more cycles a frame with such readers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from ...hdl.streams.stage import StageSpec
from .timing import Timing

__all__ = ["SHARES", "credits_of_maps", "mean_rate", "with_credits"]

FRAMES = 6
"""Frames of a run."""

SHARES = (0.0, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Shares, which are tried in turn, of the credits beyond those of a ready reader with which no stage of a map waits."""


def mean_rate(interval: int, words: int, cycles: int) -> np.ndarray:
    """Cycles (``cycles``,) in which a reader pauses that takes ``words`` words in ``interval`` cycles, evenly."""
    pauses = np.ones(cycles, bool)
    pauses[np.arange(cycles * words // interval + 1) * interval // words % cycles] = False
    return pauses


def with_credits(stages: list[StageSpec], credits: Mapping[str, int]) -> list[StageSpec]:
    """``stages``, the windows of those named with so many ``credits``."""
    return [
        replace(stage, window=replace(stage.window, credits=credits[stage.name])) if stage.name in credits else stage
        for stage in stages
    ]


def credits_of_maps(
    stages: list[StageSpec], outs: Mapping[str, int], free: Timing, run: Callable[..., Timing]
) -> dict[str, int]:
    """The credits of the stages of maps. ``outs``: words of a frame by the stage of each output, 0 for one that is no
    map; ``free``: what the cycle law says of :data:`FRAMES` frames without pauses; ``run``: it, for such stages,
    so many frames and pauses of the sinks (outputs, n)."""
    fewest = {stage.name: stage.window.credits for stage in stages if outs.get(stage.name)}
    ends = _ends(free, outs)
    interval = max(int(end[-1] - end[-2]) for end in ends)
    cycles = max(int(end[-1]) for end in ends) + FRAMES * interval
    none = np.zeros(cycles, bool)
    readers = np.stack([mean_rate(interval, n, cycles) if n else none for n in outs.values()])
    found, most = fewest, dict[str, int]()
    for share in SHARES:
        if share and not most:  # of all results of the run none waits for one that is to leave
            free = run(with_credits(stages, dict.fromkeys(fewest, 1 << 30)), FRAMES, readers)
            most = {name: max(least, free.stages[name].occupied) for name, least in fewest.items()}
        if share:
            found = {name: least + round(share * (most[name] - least)) for name, least in fewest.items()}
        ends = _ends(run(with_credits(stages, found), FRAMES, readers), outs)
        if all(int(end[-1] - end[-2]) <= interval for end in ends):
            break
    return found


def _ends(timing: Timing, outs: Mapping[str, int]) -> list[np.ndarray]:
    """The cycles in which the frames end on every map."""
    return [timing.transfers[name][count - 1 :: count] for name, count in outs.items() if count]
