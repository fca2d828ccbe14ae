"""The prediction: the words of the golden model at the cycles of the cycle law.

What every word is comes from PyTorch (``quant.golden``), when it moves from the law (``hdl.streams.law``); neither
knows RTL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import Lock

import numpy as np

from ..gen.design import Design, Timing
from ..hdl.cores.readout.spec import ReadoutSpec
from ..quant.ir.ops import Readout
from .compare import BoundaryInfo
from .trace import Stimulus, Trace, Transfers

__all__ = [
    "MARGIN",
    "Law",
    "Laws",
    "boundary_infos",
    "foresee",
    "golden_words",
    "make_stimulus",
    "predict",
    "readout",
]

MARGIN = 32
"""Cycles simulated after the last predicted transfer at least, in which nothing more may come out."""

Law = Callable[..., Timing]
"""Called like ``Design.law``."""


def boundary_infos(design: Design) -> list[BoundaryInfo]:
    """What the words of each boundary of ``design`` mean."""
    return [
        BoundaryInfo(b.name, b.format, b.words_per_frame, b.shape, design.summed(b)) for b in design.boundaries
    ]


def golden_words(design: Design, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The words (n, limbs) of every boundary, from the results of the golden model by node. Where words carry counts,
    its spikes are added up over time.

    Values, constant currents and maps have shape (N, C, H, W), spikes (N, T, C, H, W), logits (N, C).
    """
    found = {}
    for boundary in design.boundaries:
        x = np.asarray(outputs[boundary.node])
        if isinstance(design.network[boundary.node], Readout):
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
    if words is None:
        words = design.compute(frames) if design.sparse else {}
    stimulus = _endless(design, frames, source_pauses, sink_pauses, resets)
    return _ending(design, stimulus, _timing(design, stimulus, words, design.law, _starts(stimulus)[-1]))


def predict(design: Design, stimulus: Stimulus, words: Mapping[str, np.ndarray]) -> Trace:
    """The trace that any simulator must give; ``words`` of all frames by boundary (:func:`golden_words`)."""
    timings = [_timing(design, stimulus, words, design.law, start) for start in _starts(stimulus)]
    return _trace(design, stimulus, words, timings)


def foresee(
    design: Design,
    frames: np.ndarray,
    words: Mapping[str, np.ndarray],
    *,
    source_pauses: np.ndarray | None = None,
    sink_pauses: np.ndarray | None = None,
    resets: tuple[tuple[int, int], ...] = (),
    law: Law | None = None,
) -> tuple[Stimulus, Trace]:
    """What :func:`make_stimulus` and :func:`predict` return, with the law solved once for both.

    ``law``: :class:`Laws` of the design where many runs have the same frames and no pauses; else ``design.law``.
    """
    stimulus = _endless(design, frames, source_pauses, sink_pauses, resets)
    timings = [_timing(design, stimulus, words, law or design.law, start) for start in _starts(stimulus)]
    stimulus = _ending(design, stimulus, timings[-1])
    return stimulus, _trace(design, stimulus, words, timings)


def _endless(
    design: Design,
    frames: np.ndarray,
    source_pauses: np.ndarray | None,
    sink_pauses: np.ndarray | None,
    resets: tuple[tuple[int, int], ...],
) -> Stimulus:
    """A stimulus whose number of cycles is not known yet."""
    none = np.zeros(0, bool)
    per_frame = design.boundaries[0].words_per_frame
    return Stimulus(
        design.words(frames),
        0,
        none if source_pauses is None else source_pauses,
        none if sink_pauses is None else sink_pauses,
        tuple((cycle, frame * per_frame) for cycle, frame in sorted(resets)),
    )


def _ending(design: Design, stimulus: Stimulus, timing: Timing) -> Stimulus:
    """``stimulus`` until all words are through, with the ``timing`` after its last reset.

    As many cycles follow as a frame takes from its first word to its last answer, but :data:`MARGIN` at least. The
    sinks take whatever is offered in them: a frame too many would come out.
    """
    start, _ = _starts(stimulus)[-1]
    moved = [times for times in timing.transfers.values() if len(times)]
    end = start + max((int(times[-1]) for times in moved), default=-1) + 1
    latency = 0
    if moved:
        answers = [timing.transfers[b.name][b.words_per_frame - 1] for b in design.outputs.values()]
        latency = int(max(answers) - timing.transfers[design.boundaries[0].name][0]) + 1
    return replace(
        stimulus, cycles=end + max(MARGIN, latency), sink_pauses=np.asarray(stimulus.sink_pauses)[..., :end]
    )


class Laws:
    """The cycle law of ``design``, called like ``design.law``; solved once for each number of words where nothing else
    matters: without pauses, and without stages that skip words."""

    def __init__(self, design: Design) -> None:
        self._design = design
        self._known: dict[int, Timing] = {}
        self._lock = Lock()

    def __call__(
        self,
        words: int,
        source_pauses: np.ndarray | tuple = (),
        sink_pauses: np.ndarray | tuple = (),
        costs: Mapping[str, np.ndarray] | None = None,
    ) -> Timing:
        """What ``design.law`` says."""
        if np.size(source_pauses) or np.size(sink_pauses) or costs:
            return self._design.law(words, source_pauses, sink_pauses, costs)
        with self._lock:
            if words not in self._known:
                self._known[words] = self._design.law(words)
        return self._known[words]


def _timing(
    design: Design, stimulus: Stimulus, words: Mapping[str, np.ndarray], law: Law, stretch: tuple[int, int]
) -> Timing:
    """What the law says of a stretch between resets, in cycles since its start."""
    start, word = stretch
    return law(
        len(stimulus.words) - word,
        stimulus.source_pauses[start:],
        stimulus.sink_pauses[..., start:],
        design.costs(words, word // design.boundaries[0].words_per_frame),
    )


def _starts(stimulus: Stimulus) -> list[tuple[int, int]]:
    """First cycle and first input word of each stretch between resets."""
    return [(0, 0), *((cycle + 1, word) for cycle, word in stimulus.resets)]


def _trace(design: Design, stimulus: Stimulus, words: Mapping[str, np.ndarray], timings: list[Timing]) -> Trace:
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {b.name: [] for b in design.boundaries}
    per_input = design.boundaries[0].words_per_frame
    ends = [*(cycle for cycle, _ in stimulus.resets), stimulus.cycles]
    for (start, word), end, timing in zip(_starts(stimulus), ends, timings, strict=True):
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
