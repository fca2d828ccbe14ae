"""The prediction: the words of the golden model at the cycles of the cycle law.

What every word is comes from PyTorch (``quant.golden``), when it moves from the law (``hdl.law``); neither knows RTL.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..gen.design import Design
from ..hdl.readout import ReadoutSpec
from .compare import BoundaryInfo
from .trace import Stimulus, Trace, Transfers

__all__ = ["MARGIN", "boundary_infos", "golden_words", "make_stimulus", "predict", "random_pauses", "readout"]

MARGIN = 32
"""Cycles simulated after the last predicted transfer, in which nothing more may come out."""


def boundary_infos(design: Design) -> list[BoundaryInfo]:
    """What the words of each boundary of ``design`` mean."""
    return [
        BoundaryInfo(b.name, b.format, b.words_per_frame, b.shape, design.summed(b)) for b in design.boundaries
    ]


def golden_words(design: Design, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The words (n, limbs) of every boundary, from the results of the golden model by node. Where words carry counts,
    its spikes are added up over time.

    Values and constant currents have shape (N, C, H, W), spikes (N, T, C, H, W), logits (N, C).
    """
    found = {}
    answers = {b.name for b in design.outputs.values()}
    for boundary in design.boundaries:
        x = np.asarray(outputs[boundary.node])
        if boundary.name in answers:
            found[boundary.name] = _readout_words(readout(design, boundary.name), x)
            continue
        found[boundary.name] = boundary.format.pack(boundary.frames(x))
    return found


def readout(design: Design, boundary: str | None = None) -> ReadoutSpec:
    """The read-out of ``design`` whose words are on ``boundary``; by default the last one, which gives the class."""
    spec = next(s for s in reversed(design.stages) if boundary in (s.name, None)).cores[-1]
    assert isinstance(spec, ReadoutSpec)
    return spec


def _readout_words(spec: ReadoutSpec, logits: np.ndarray) -> np.ndarray:
    best = np.stack([logits[:, : end + spec.outputs].argmax(1) for end in range(0, logits.shape[1], spec.outputs)], 1)
    return spec.pack(logits.reshape(-1, spec.outputs, 1), best.reshape(-1))


def random_pauses(rng: np.random.Generator, cycles: int, share: float) -> np.ndarray:
    """Pauses of an environment: runs of one to eight cycles that cover about ``share`` of them."""
    runs = rng.integers(1, 9, size=cycles)
    flags = rng.random(cycles) < share
    return np.repeat(flags, runs)[:cycles]


def make_stimulus(
    design: Design,
    frames: np.ndarray,
    *,
    source_pauses: np.ndarray | None = None,
    sink_pauses: np.ndarray | None = None,
    resets: tuple[tuple[int, int], ...] = (),
    words: Mapping[str, np.ndarray] | None = None,
) -> Stimulus:
    """The stimulus of ``frames`` back to back, long enough for all of them.

    ``resets``: pairs (cycle, frame): reset in that cycle, after which the source goes on with that frame; ``words``
    of all boundaries (:func:`golden_words`), computed where they are not given and a stage skips some.
    """
    none = np.zeros(0, bool)
    words_per_frame = design.boundaries[0].words_per_frame
    stimulus = Stimulus(
        design.words(frames),
        0,
        none if source_pauses is None else source_pauses,
        none if sink_pauses is None else sink_pauses,
        tuple((cycle, frame * words_per_frame) for cycle, frame in sorted(resets)),
    )
    start, word = stimulus.resets[-1] if stimulus.resets else (-1, 0)
    if design.sparse and words is None:
        words = design.compute(frames)
    timing = design.law(
        len(stimulus.words) - word,
        stimulus.source_pauses[start + 1 :],
        stimulus.sink_pauses[start + 1 :],
        design.costs(words or {}, word // words_per_frame),
    )
    last = max(int(t[-1]) for t in timing.transfers.values() if len(t))
    return Stimulus(
        stimulus.words, start + 1 + last + 1 + MARGIN, stimulus.source_pauses, stimulus.sink_pauses, stimulus.resets
    )


def predict(design: Design, stimulus: Stimulus, words: Mapping[str, np.ndarray]) -> Trace:
    """The trace that any simulator must give; ``words`` of all frames by boundary (:func:`golden_words`)."""
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {b.name: [] for b in design.boundaries}
    per_input = design.boundaries[0].words_per_frame
    starts = [(0, 0), *((cycle + 1, word) for cycle, word in stimulus.resets)]
    ends = [*(cycle for cycle, _ in stimulus.resets), stimulus.cycles]
    for (start, word), end in zip(starts, ends, strict=True):
        timing = design.law(
            len(stimulus.words) - word,
            stimulus.source_pauses[start:],
            stimulus.sink_pauses[start:],
            design.costs(words, word // per_input),
        )
        for boundary in design.boundaries:
            cycles = timing.transfers[boundary.name] + start
            cycles = cycles[cycles < end]
            first = word // per_input * boundary.words_per_frame
            parts[boundary.name].append((cycles, words[boundary.name][first : first + len(cycles)]))
    return Trace(
        {
            name: Transfers(np.concatenate([c for c, _ in part]), np.concatenate([w for _, w in part]))
            for name, part in parts.items()
        }
    )
