"""Placements of one netlist from several seeds, some at once: the fastest is kept, and how far they lie apart is told.

nextpnr begins at a random placement. From one seed to another the clock of the same netlist differs by some per cent
(``docs/placement.md``), so one seed says little of a change, and the best of several costs nothing but time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from statistics import median
from typing import Any, Generic, TypeVar

__all__ = ["Placement", "Progress", "place_all", "spread"]

Progress = Callable[[str, float, int], None]
"""Called as progress(what is done, placements done, placements in all)."""

T = TypeVar("T")


@dataclass(frozen=True)
class Placement(Generic[T]):
    """What became of a ``seed``: ``mhz`` after routing and what was ``found``, or both None and the ``error``;
    ``seconds`` that it took."""

    seed: int
    mhz: float | None
    seconds: float
    found: T | None = None
    error: Exception | None = None


def place_all(
    place: Callable[[int], tuple[float, T]],
    seeds: Iterable[int],
    jobs: int = 1,
    *,
    fails: type[Exception],
    enough: Callable[[T], bool] = lambda _found: False,
    done: Callable[[list[Placement[T]]], None] = lambda _placements: None,
) -> list[Placement[T]]:
    """Call ``place`` with each of ``seeds``, ``jobs`` of them at once, and return what became of each, by seed.

    ``place`` gives a clock in MHz and anything besides, or raises ``fails``, which loses this seed alone; it starts a
    process of its own, threads wait for it. No seed is begun after one that is ``enough``. ``done`` is called with
    all that is known after every seed. Any other exception ends all that has not begun, and is raised.
    """
    placements: list[Placement[T]] = []

    def one(seed: int) -> Placement[T]:
        start = time.perf_counter()
        try:
            mhz, found = place(seed)
        except fails as error:
            return Placement(seed, None, time.perf_counter() - start, error=error)
        return Placement(seed, mhz, time.perf_counter() - start, found)

    left = list(seeds)[::-1]
    running: set[Future[Placement[T]]] = set()
    pool = ThreadPoolExecutor(jobs)
    try:
        while left or running:
            while left and len(running) < jobs:
                running.add(pool.submit(one, left.pop()))
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            placements = sorted([*placements, *(future.result() for future in ended)], key=lambda made: made.seed)
            if any(made.found is not None and enough(made.found) for made in placements):
                left.clear()
            done(placements)
    finally:
        pool.shutdown(cancel_futures=True)
    return placements


def spread(placements: list[Placement[Any]]) -> dict[str, Any]:
    """The spread as JSON: ``min_mhz``, ``median_mhz``, ``max_mhz`` of ``seeds`` placements that worked, None where none
    did; ``failed``, how many did not; ``each``, seed, MHz, seconds and, where it failed, the error of all."""
    clocks = [made.mhz for made in placements if made.mhz is not None]
    least, middle, most = (min(clocks), median(clocks), max(clocks)) if clocks else (None, None, None)
    each = []
    for made in placements:
        each.append({"seed": made.seed, "mhz": made.mhz, "seconds": round(made.seconds, 1)})
        if made.error is not None:
            each[-1]["error"] = str(made.error)
    return {"min_mhz": least, "median_mhz": None if middle is None else round(middle, 2), "max_mhz": most,
            "seeds": len(clocks), "failed": len(placements) - len(clocks), "each": each}
