"""Workers that check chunks at once: threads where the simulator does the work, else processes.

Starting a process costs seconds. The simulator is a process of its own anyway, and what is left to Python is little
where the cycle law is solved once for all chunks; where it is solved for every chunk it is most of the work.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

from .chunk import Chunk, Result, Setup

__all__ = ["check", "pool"]

_setups: list[Setup] = []


def pool(setup: Setup, jobs: int) -> Executor:
    """Workers for chunks of ``setup``: submit :func:`check`. One pool at a time."""
    if setup.model is not None and not setup.pauses and not setup.design.sparse:
        return ThreadPoolExecutor(jobs, initializer=_begin, initargs=(setup,))
    # A fork would copy the threads' locks of PyTorch and of the progress bars in whatever state they are.
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, spawn, initializer=_begin, initargs=(setup,))


def _begin(setup: Setup) -> None:
    _setups[:] = [setup]


def check(chunk: Chunk) -> Result:
    """Predict, simulate and compare a chunk, in a worker."""
    return _setups[0].check(chunk)
