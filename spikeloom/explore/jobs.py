"""Jobs: calls of functions by name, done once each, on this machine or on a cluster, their results kept in a store."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..quant.extras import missing
from .crew import Crew, drive
from .perform import Failure, JobError, fingerprint, perform
from .pool import WorkerPool
from .store import Store, StoreError, canonical

__all__ = ["Job", "JobError", "fingerprint", "run"]

SHOWN = 1_000
"""Characters at most of a job's arguments in a message."""


@dataclass(frozen=True)
class Job:
    """A call of ``work`` ("module:function") with ``arguments``, JSON values by name.

    The same call gives the same result, JSON and not None, on every machine: a file is an argument by its path *and*
    its hash, the version of an outside tool is an argument too. Raises JobError where an argument is not JSON.
    """

    work: str
    arguments: dict[str, Any] = field(hash=False)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "arguments", json.loads(canonical(self.arguments)))
        except (TypeError, ValueError, RecursionError) as error:
            raise JobError(f"{self.work}: arguments must be JSON values: {error}") from None

    def __str__(self) -> str:
        text = canonical(self.arguments)
        return f"{self.work} {text if len(text) <= SHOWN else text[:SHOWN] + '...'}"

    @cached_property
    def key(self) -> str:
        """SHA-256 of the call and the :func:`fingerprint`: the name of its result."""
        text = canonical({"work": self.work, "arguments": self.arguments, "fingerprint": fingerprint()})
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def call(self) -> tuple[str, str, str]:
        """Arguments of :func:`~.perform.perform`."""
        return self.work, canonical(self.arguments), fingerprint()


def run(
    jobs: Iterable[Job],
    store: Store,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """Results of ``jobs`` by key, in their order; those in ``store`` are not computed again, others go there at once.

    ``workers``: processes of this machine, None for as many as it has processors; with 1 everything is done in this
    process. ``scheduler``: address of a dask scheduler ("tcp://host:8786") whose workers do it instead. ``progress``
    is called as progress(function, jobs of it done, jobs of it in all). The first exception of a job ends the run as
    a JobError from it; a worker that dies does not, except over the same job again and again.
    """
    wanted = {job.key: job for job in jobs}
    results = {key: store.get(key) for key in wanted}
    missing = [job for key, job in wanted.items() if results[key] is None]
    total = Counter(job.work for job in wanted.values())
    done = total - Counter(job.work for job in missing)

    def tell(work: str) -> None:
        if progress is not None:
            progress(work.rpartition(":")[2], done[work], total[work])

    def take(job: Job, outcome: Any) -> None:
        if isinstance(outcome, Failure):
            raise _failed(job, outcome.error) from outcome.error
        try:
            results[job.key] = store.put(job.key, outcome)
        except StoreError as error:
            raise _failed(job, error) from error
        done[job.work] += 1
        tell(job.work)

    workers = (os.cpu_count() or 1) if workers is None else workers
    if workers < 1:
        raise JobError(f"workers must be 1 or more, not {workers}")
    for work in total:
        tell(work)
    if missing and (scheduler is not None or workers > 1):
        with _crew(min(workers, len(missing)), scheduler) as crew:
            drive(missing, crew, take)
    else:
        for job in missing:
            take(job, perform(*job.call))
    return results


def _crew(workers: int, scheduler: str | None) -> AbstractContextManager[Crew]:
    if scheduler is None:
        return WorkerPool(workers)
    try:
        from .cluster import Cluster
    except ModuleNotFoundError as error:
        raise JobError(missing(error.name or "") or str(error)) from None
    return Cluster(scheduler)


def _failed(job: Job, error: Exception) -> JobError:
    """The error for the user: messages that are meant for him as they are, others with their class."""
    ours = type(error).__module__.startswith("spikeloom.")
    return JobError(f"{error if ours else f'{type(error).__name__}: {error}'} ({job})")
