"""How fast a design is, by the cycle law."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..hdl.streams.stage import StageSpec
from .design import Design

__all__ = ["Performance", "performance"]

Performance = dict[str, Any]


def performance(design: Design, images: np.ndarray | None = None) -> Performance:
    """What the cycle law predicts for frames without pauses: for such in which no word is zero, or for ``images``
    (N, C, H, W), two at least.

    ``latency``: cycles from the first input word to the last output word of the first frame (of all outputs);
    ``interval``: cycles between frames in steady state, the mean of ``images``; per stage: cycles of work a frame, and
    its share of the interval; ``bottleneck``, the stage with the most of it.
    """
    costs: dict[str, np.ndarray] = {}
    timing, count = design.free_run, 0
    if images is not None:
        costs, count = design.costs(design.compute(images)) if design.sparse else {}, len(images)
        timing = design.law(count * design.boundaries[0].words_per_frame, costs=costs)
    outs = design.outputs.values()
    ends = np.max([timing.transfers[b.name][b.words_per_frame - 1 :: b.words_per_frame] for b in outs], axis=0)

    def work(stage: StageSpec) -> int:
        if stage.name not in costs:
            return stage.cycles
        return round(costs[stage.name][:, 3].sum() * stage.window.groups * stage.window.scans / count)

    bottleneck = max(design.stages, key=work)
    interval = int(ends[-1] - ends[-2])
    if images is not None:  # a first frame that ends late makes the mean of few too small
        interval = max(float(ends[-1] - ends[0]) / (count - 1), work(bottleneck))
    return {
        "latency": int(ends[0]) + 1,
        "interval": interval,
        "bottleneck": {"stage": bottleneck.name, "utilisation": round(work(bottleneck) / interval, 4)},
        "stages": {s.name: {"cycles": work(s), "utilisation": round(work(s) / interval, 4)} for s in design.stages},
    }
