"""Stimuli and traces as ``.npz`` files: how they get into and out of a simulator in another process."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ..trace import Stimulus, Trace, Transfers

__all__ = ["load_stimulus", "load_trace", "save_stimulus", "save_trace"]


def save_stimulus(path: Path, stimulus: Stimulus) -> None:
    """Write a stimulus."""
    np.savez(
        path,
        words=stimulus.words,
        cycles=np.int64(stimulus.cycles),
        source_pauses=np.asarray(stimulus.source_pauses, bool),
        sink_pauses=np.asarray(stimulus.sink_pauses, bool),
        resets=np.array(stimulus.resets, np.int64).reshape(-1, 2),
    )


def load_stimulus(path: Path) -> Stimulus:
    """Read what :func:`save_stimulus` wrote."""
    with np.load(path, allow_pickle=False) as file:
        resets = tuple((int(cycle), int(word)) for cycle, word in file["resets"])
        return Stimulus(file["words"], int(file["cycles"]), file["source_pauses"], file["sink_pauses"], resets)


def save_trace(path: Path, trace: Trace) -> None:
    """Write a trace."""
    arrays = {}
    for index, transfers in enumerate(trace.boundaries.values()):
        arrays[f"cycles_{index}"] = transfers.cycles
        arrays[f"words_{index}"] = transfers.words
    header = json.dumps({"names": list(trace.boundaries), "violations": trace.violations})
    np.savez(path, header=np.array(header), **arrays)


def load_trace(path: Path) -> Trace:
    """Read what :func:`save_trace` wrote."""
    with np.load(path, allow_pickle=False) as file:
        header = json.loads(str(file["header"]))
        boundaries = {
            name: Transfers(file[f"cycles_{index}"], file[f"words_{index}"])
            for index, name in enumerate(header["names"])
        }
    return Trace(boundaries, tuple((int(cycle), str(name), str(text)) for cycle, name, text in header["violations"]))
