"""What the environment of a design does at random: pauses of source and sinks, and resets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..gen.design import Design
from .predict import Law
from .trace import SimulationError

__all__ = ["SHORT", "random_environment", "random_pauses", "random_resets"]

SHORT = 8
"""Cycles of a short pause at most."""


def random_pauses(rng: np.random.Generator, cycles: int, share: float, longest: int = SHORT) -> np.ndarray:
    """Pauses (cycles,) that cover ``share`` of the cycles, in runs of at most ``longest`` cycles before they meet.

    Half of the time passes in runs of 1 to :data:`SHORT` cycles, which meet single words; the other half in runs of 1
    to ``longest`` cycles, every order of magnitude as likely as any other: a design that takes a word every hundred
    cycles does not notice a short pause.
    """
    paused = np.zeros(cycles, bool)
    if not cycles:
        return paused
    runs = rng.integers(1, SHORT + 1, size=cycles)
    if longest > SHORT:
        mean_short, mean_long = (1 + SHORT) / 2, longest / np.log(longest + 1)
        long = rng.random(cycles) < mean_short / (mean_short + mean_long)
        runs[long] = np.exp(rng.uniform(0, np.log(longest + 1), size=int(long.sum()))).astype(np.int64)
    ends = np.cumsum(runs)
    count = int(np.searchsorted(ends, cycles)) + 1  # the runs that are needed
    starts = (ends - runs)[:count]
    # Runs pause in random order until their cycles are the share; the last one of them in part.
    left = round(share * cycles)
    for run in rng.permutation(count).tolist():
        if not left:
            break
        here = paused[starts[run] : starts[run] + min(int(runs[run]), left)]
        here[:] = True
        left -= len(here)
    return paused


def random_environment(
    rng: np.random.Generator, run: int, cycles: int, share: float, words: Sequence[int], frame: int, drain: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pauses of the source (n,) and of the sinks (sinks, n), n >= ``cycles``; each covers ``share`` of its cycles.

    In every stretch of ``run`` cycles the source and each sink have a phase in which nobody else pauses. First it
    stops, until all that the design has room for has moved on; then, for a frame, it lets single words pass, slower
    than the design works. So every row of every window is waited for, and every slot is full, however many words the
    design has room for. All other pauses are random (:func:`random_pauses`), up to a ``frame``.

    Parameters: ``run``, cycles of all frames without pauses; ``words`` of a frame at the source and at each sink;
    ``frame``, cycles of one of them; ``drain``, cycles from the last word that the source sends to the last answer.
    Phases are shorter where the share does not allow so much.
    """
    streams, sinks = len(words), len(words) - 1
    gaps = [max(2, -(-3 * frame // (2 * count))) for count in words]
    slow = max(gap * count for gap, count in zip(gaps, words, strict=True))
    longest = min(int(0.8 * share * run), int((1 - share) * run / (2 * sinks)), run // (2 * streams))
    phase = min(drain + slow, longest)
    stop = min(drain, 2 * phase // 3)
    phases = [np.arange(phase) % gap != gap - 1 for gap in gaps]
    for pauses in phases:
        pauses[:stop] = True
    rest = run - streams * phase
    parts: list[np.ndarray] = []
    for _ in range(-(-cycles // run)):
        others = np.stack(
            [random_pauses(rng, rest, (share * run - int(pauses.sum())) / rest, frame) for pauses in phases]
        )
        # Late enough that the design is full, early enough that the source has words left.
        cuts = np.sort(rng.integers(rest // 10, 6 * rest // 10 + 1, streams))
        for stream, before in zip(rng.permutation(streams), np.split(others, cuts, axis=1), strict=False):
            alone = np.zeros((streams, phase), bool)
            alone[stream] = phases[stream]
            parts += [before, alone]
        parts.append(others[:, cuts[-1] :])
    together = np.concatenate(parts, axis=1)
    return together[0], together[1:]


def random_resets(
    design: Design,
    rng: np.random.Generator,
    count: int,
    words: Mapping[str, np.ndarray],
    source_pauses: np.ndarray,
    sink_pauses: np.ndarray,
    law: Law,
) -> tuple[tuple[int, int], ...]:
    """``count`` resets (cycle, frame) at random cycles of a run of all frames.

    After each of them the source goes on with the first frame of which an answer was not out, as a user would send it
    again. So every frame is answered, with any number of resets. ``words`` of all boundaries by the golden model.
    Raises SimulationError where the run has fewer cycles.
    """
    per_frame = {b.name: b.words_per_frame for b in design.boundaries}
    source = design.boundaries[0].name
    frames = len(words[source]) // per_frame[source]

    def answered(start: int, frame: int) -> np.ndarray:
        """The cycle in which each frame from ``frame`` on has left on all outputs, the run starting in ``start``."""
        left = (frames - frame) * per_frame[source]
        costs = design.costs(words, frame)
        timing = law(left, source_pauses[start:], sink_pauses[..., start:], costs)
        ends = [timing.transfers[b.name][b.words_per_frame - 1 :: b.words_per_frame] for b in design.outputs.values()]
        return start + np.max(ends, axis=0)

    start, frame = 0, 0
    ends = answered(start, frame)
    last = int(ends[-1])
    if count > last:
        raise SimulationError(f"{count} resets do not fit into {last} cycles; simulate more frames or reset less often")
    found = []
    for cycle in np.sort(rng.choice(last, count, replace=False)).tolist():
        frame += int((ends < cycle).sum())
        found.append((cycle, frame))
        start = cycle + 1
        ends = answered(start, frame)
    return tuple(found)
