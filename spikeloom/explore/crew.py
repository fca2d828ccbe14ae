"""Who does jobs, and how they are handed out: workers may die, over a job or of something else."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TYPE_CHECKING, Any, Protocol

from .perform import Failure, JobError, perform

if TYPE_CHECKING:
    from .jobs import Job

__all__ = ["Crew", "drive"]

PATIENCE = 2.0
"""Seconds without a result after which the crew is looked at."""


class Crew(Protocol):
    """Workers. ``room``: jobs that may be under way at once; ``died``: what a future raises over which a worker died;
    ``tries``: how often that may happen to a job."""

    room: int
    died: type[Exception]
    tries: int

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have ``function`` called by a worker."""
        ...

    def renew(self) -> None:
        """Get over the death of a worker."""
        ...

    def check(self) -> None:
        """Raise JobError where no result will ever come."""
        ...


def drive(jobs: Sequence[Job], crew: Crew, take: Callable[[Job, Any], None]) -> None:
    """Have ``crew`` do ``jobs``; ``take`` what :func:`~.perform.perform` gives for each, as it comes.

    Jobs under way when a worker died are suspects: they are done again, after all others and one by one, so that
    the next death is a job's own. Raises JobError for one over which a worker died :attr:`Crew.tries` times, after all
    others are done, and whatever ``take`` raises for the first Failure, after all that is finished was taken.
    """
    queue, under_way, deaths = deque(jobs), dict[Future[Any], "Job"](), Counter[str]()
    fatal: list[JobError] = []
    try:
        while queue or under_way:
            while queue and len(under_way) < _room(crew, [queue[0], *under_way.values()], deaths):
                job = queue.popleft()
                under_way[crew.submit(perform, *job.call)] = job
            if not wait(under_way, PATIENCE, FIRST_COMPLETED).done:
                crew.check()
            if any(_dead(future, crew) for future in under_way):
                crew.renew()
                for future in [future for future in under_way if _dead(future, crew)]:
                    job = under_way.pop(future)
                    deaths[job.key] += 1
                    if deaths[job.key] < crew.tries:
                        queue.append(job)
                    else:
                        fatal.append(JobError(f"its worker died, {crew.tries} times ({job})"))
                        fatal[-1].__cause__ = future.exception()
            _collect(under_way, crew, take)
        if fatal:
            raise fatal[0]
    except BaseException:
        _collect(under_way, crew, take, failures=False)
        raise


def _room(crew: Crew, jobs: Sequence[Job], deaths: Counter[str]) -> int:
    """Jobs that may be under way, where ``jobs`` are those and the next one."""
    return 1 if any(job.key in deaths for job in jobs) else crew.room


def _dead(future: Future[Any], crew: Crew) -> bool:
    return future.done() and not future.cancelled() and isinstance(future.exception(), crew.died)


def _collect(
    under_way: dict[Future[Any], Job], crew: Crew, take: Callable[[Job, Any], None], *, failures: bool = True
) -> None:
    """Take what is finished: the results, then the first failure."""
    failed: list[tuple[Job, Failure]] = []
    for future, job in list(under_way.items()):
        if not future.done() or _dead(future, crew):
            continue
        lost = "the scheduler forgot it" if future.cancelled() else future.exception()
        outcome = Failure(JobError(f"no result will come: {lost}")) if lost else future.result()
        if isinstance(outcome, Failure):
            failed.append((job, outcome))
        else:
            take(job, outcome)
            del under_way[future]
    if failures and failed:
        take(*failed[0])
