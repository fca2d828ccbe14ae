"""The workers of a dask cluster, for jobs as processes of this machine are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from distributed import Client, Security
from distributed.comm.core import connect
from distributed.scheduler import KilledWorker

from .perform import JobError, fingerprint

__all__ = ["Cluster"]

ANSWER = 5.0
"""Seconds within which a scheduler answers."""

FIRST = 30.0
"""Seconds within which a cluster has its first worker: it may have been started just now."""

WORKERLESS = 60.0
"""Seconds after which a cluster without a worker is given up."""


class Cluster:
    """The workers of the dask scheduler at ``address``; see :class:`~.crew.Crew`.

    dask itself gives a job to four workers (its setting allowed-failures and one) before it says that workers die
    over it; then it is tried once more, alone. Raises JobError where no scheduler answers, where it has no worker, or
    one whose spikeloom is not the one here.
    """

    died: type[Exception] = KilledWorker
    tries: int = 2
    room: int = 1_000  # dask hands out to each worker what it needs and keeps the rest

    def __init__(self, address: str) -> None:
        self.address = address
        try:
            # A Client that finds no scheduler leaves threads behind, which keep the end of the process waiting; a
            # thread, for this one may have a running event loop.
            with ThreadPoolExecutor(1) as thread:
                thread.submit(asyncio.run, _knock(address)).result()
            self._client = Client(address, timeout=ANSWER, set_as_default=False)
        except Exception as error:  # whatever comes of a server that is something else
            line = str(error).partition("\n")[0]
            raise JobError(f"no dask scheduler answers at {address}: {line}; 'dask scheduler' starts one") from None
        # Impure, or a job that is tried once more would have the name and so the error of the first try.
        self._executor, self._seen = self._client.get_executor(pure=False), time.monotonic()

    def __enter__(self) -> Cluster:
        try:
            self._client.wait_for_workers(1, timeout=FIRST)
            self._compare()
        except TimeoutError:
            self._client.close()
            text = f"the scheduler {self.address} has no worker; 'dask worker {self.address}' starts one"
            raise JobError(text) from None
        except BaseException:
            self._client.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def _compare(self) -> None:
        """Raise JobError naming a worker with another spikeloom than the one here."""
        answers: Any = self._client.run(fingerprint, on_error="return")
        for worker, found in answers.items():
            if isinstance(found, ImportError):
                raise JobError(f"worker {worker} has no spikeloom: {found}")
            if isinstance(found, str) and found != fingerprint():
                raise JobError(f"worker {worker} has another version of spikeloom; all must be the same, file for file")

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have ``function`` called by a worker."""
        return self._executor.submit(function, *arguments)

    def renew(self) -> None:
        """Nothing: the scheduler goes on with the workers that are left, and with new ones."""

    def check(self) -> None:
        """Raise JobError where there is no scheduler, or was no worker for :data:`WORKERLESS` seconds."""
        now = time.monotonic()
        try:
            workers = self._client.nthreads()
        except OSError as error:
            raise JobError(f"the scheduler {self.address} is gone ({error}); what is finished is stored") from None
        if workers:
            self._seen = now
        elif now - self._seen > WORKERLESS:
            raise JobError(f"the scheduler {self.address} has no worker left; what is finished is stored")


async def _knock(address: str) -> None:
    comm = await connect(address, timeout=ANSWER, **Security().get_connection_args("client"))
    await comm.close()
