"""Workers that check chunks at once: threads where the simulator does the work, else processes.

Starting a process costs seconds. The simulator is a process of its own anyway, and what is left to Python is little
where the cycle law is solved once for all chunks; where it is solved for every chunk it is most of the work.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager

from .chunk import Chunk, ChunkResult, Setup

__all__ = ["pool"]

Submit = Callable[[Chunk], "Future[ChunkResult]"]

_here: list[Setup] = []
"""The setup of the one pool to which a process of workers belongs; empty in all other processes."""


@contextmanager
def pool(setup: Setup, jobs: int) -> Iterator[Submit]:
    """Workers for chunks of ``setup``, for a ``with`` statement: a call that hands in a chunk and returns its future.

    What is waiting when the statement ends is not begun any more.
    """
    if setup.model is not None and not setup.pauses and not setup.design.sparse:
        workers, check = ThreadPoolExecutor(jobs), setup.check
    else:
        # A fork would copy the threads' locks of PyTorch and of the progress bars in whatever state they are.
        spawn = multiprocessing.get_context("spawn")
        workers, check = ProcessPoolExecutor(jobs, spawn, initializer=_begin, initargs=(setup,)), _check
    try:
        yield lambda chunk: workers.submit(check, chunk)
    finally:
        workers.shutdown(cancel_futures=True)


def _begin(setup: Setup) -> None:
    _here.append(setup)


def _check(chunk: Chunk) -> ChunkResult:
    """Predict, simulate and compare a chunk, in a process of workers."""
    return _here[0].check(chunk)
