"""What an exploration is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Options"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to explore.

    Parameters: ``device``, by name; ``data`` and ``images``, test images for accuracy, energy and skipping; ``skip``:
    stages may skip all-zero words; ``form``: spikes travel as trains of T spikes, as their counts where all who take
    them add them up, or both are compared; ``clock``, MHz assumed; ``fps``, frames a second, for each of which the best
    fold is found, in place of the front; ``objective``, what the best point is best in; ``measure``, points of a front
    that go through the cycle law, None: 100, or fewer where that takes long; ``trials``, designs drawn for their
    latency, None: as many as take seconds; ``synthesize``, points to synthesise; ``place``: with their clock;
    ``workers`` and ``scheduler`` as in ``.jobs``.
    """

    device: str | None = None
    data: str | None = None
    images: int = 200
    skip: bool = False
    form: Literal["both", "counts", "spikes"] = "both"
    clock: float = 100.0
    fps: tuple[float, ...] = ()
    objective: str = "fps"
    measure: int | None = None
    trials: int | None = None
    synthesize: int = 0
    place: bool = True
    workers: int | None = None
    scheduler: str | None = None
