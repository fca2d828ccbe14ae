"""Worker processes of this machine, which end with the process that started them, however it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["WorkerPool"]


class WorkerPool:
    """``workers`` processes; see :class:`~.jobs.Crew`. Leaving it with an error kills them and what they started."""

    died: type[Exception] = BrokenProcessPool
    tries: int = 3

    def __init__(self, workers: int) -> None:
        self.room = workers
        # A fork would copy the threads' locks in whatever state they are.
        self._spawn = multiprocessing.get_context("spawn")
        # Nothing is ever sent: workers wait for its end, which comes when this process closes it or dies.
        self._watched, self._held = self._spawn.Pipe(duplex=False)
        self._executor = self._new()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, error: object, *_: object) -> None:
        if error is not None:
            self._held.close()
        self._executor.shutdown(cancel_futures=True)
        self._held.close()
        self._watched.close()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have ``function`` called in a worker. A broken pool gives a future that says so."""
        try:
            return self._executor.submit(function, *arguments)
        except BrokenProcessPool as error:
            broken: Future[Any] = Future()
            broken.set_exception(error)
            return broken

    def renew(self) -> None:
        """Start again after the death of a worker, with which the executor ends all others."""
        self._executor.shutdown()
        self._executor = self._new()

    def check(self) -> None:
        """Nothing: the executor notices by itself when a worker dies."""

    def _new(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.room, self._spawn, initializer=_begin, initargs=(self._watched,))


def _begin(watched: Connection) -> None:
    """Make this worker the head of a group of processes, which ends as a whole: the tools that jobs start are in it.

    Ctrl-C goes to the group of the parent alone, which decides what becomes of its workers.
    """
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, lambda *_: _end())
    # As many workers as processors: threads within them would only take turns.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    threading.Thread(target=_watch, args=(watched,), daemon=True).start()


def _watch(watched: Connection) -> None:
    watched.poll(None)
    _end()


def _end() -> None:
    os.killpg(0, signal.SIGKILL)
