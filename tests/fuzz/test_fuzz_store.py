"""Stored results and jobs of explorations: what is damaged is done again, what is no job is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzzing import Format, changed, few, many, mixed, nested

from spikeloom.explore.jobs import Job, JobError, run
from spikeloom.explore.store import Store, StoreError

WORK = "spikeloom.explore.work:bounds"
ARGUMENTS = {"images": 9, "chunk": 4}
RESULT = [[0, 4], [4, 8], [8, 9]]


def write_store(rng: np.random.Generator, folder: Path) -> Store:
    """A store in which the file of the one job is damaged."""
    store, job = Store(folder), Job(WORK, ARGUMENTS)
    store.put(job.key, RESULT)
    path = folder / f"{job.key}.json"
    whole = path.read_bytes()
    match int(rng.integers(5)):
        case 0:
            path.write_text(json.dumps(mixed(rng, json.loads(whole))))
        case 1:
            path.write_text(f'{{"value": {nested(rng, "[", "]")}}}')
        case 2 if not rng.integers(4):
            path.unlink()
            path.mkdir()
        case 2:
            with path.open("r+b") as file:
                file.truncate(int(10 ** rng.uniform(0, 11)))  # sparse
        case _:
            path.write_bytes(changed(rng, whole))
    return store


def read_store(store: Store) -> None:
    """The result is the right one, whatever the file holds."""
    job = Job(WORK, ARGUMENTS)
    assert run([job], store, workers=1)[job.key] == RESULT


def write_job(rng: np.random.Generator, folder: Path) -> tuple[str, Any, Store]:
    """A job with odd arguments."""
    value: Any = mixed(rng, {"arguments": ARGUMENTS, "work": WORK})
    work, arguments = value.get("work", WORK), value.get("arguments", {})
    if not rng.integers(5):
        arguments = {"images": 9, "chunk": 4, "deep": _deep(int(10 ** rng.uniform(0, 5)))}
    return (work if isinstance(work, str) else WORK), arguments, Store(folder)


def _deep(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


def read_job(given: tuple[str, Any, Store]) -> None:
    """Do it."""
    work, arguments, store = given
    job = Job(work, arguments)
    run([job], store, workers=1)


FORMATS = {"store": Format(write_store, read_store), "job": Format(write_job, read_job)}


@pytest.mark.parametrize("name", FORMATS)
def test_a_few_inputs(name: str) -> None:
    few(FORMATS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_many_inputs(name: str) -> None:
    many(__file__, name)


def test_what_is_too_deep_is_no_result_and_no_job(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="a result must be JSON: maximum recursion depth"):
        Store(tmp_path).put("ab" * 32, _deep(100_000))
    with pytest.raises(JobError, match="arguments must be JSON values: maximum recursion depth"):
        Job(WORK, {"deep": _deep(100_000)})
