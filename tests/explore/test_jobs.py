"""Jobs in this process and in a pool: the same results, whatever fails, dies or is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from spikeloom.explore import jobs, perform
from spikeloom.explore.crew import drive
from spikeloom.explore.jobs import Job, JobError
from spikeloom.explore.pool import WorkerPool
from spikeloom.explore.store import Store
from spikeloom.gen.errors import PlanError
from spikeloom.quant.ir.netfile import load

ROOT = Path(__file__).resolve().parents[2]
NETWORK = ROOT / "models" / "digits-t4w4.safetensors"
SCRIPT = Path(__file__).with_name("explored.py")


def squares(count: int, seconds: float = 0.0) -> list[Job]:
    return [Job("explore.work:square", {"x": x, "seconds": seconds}) for x in range(count)]


def folds(*cycles: int) -> list[Job]:
    network = {"network": str(NETWORK), "digest": load(NETWORK).hash}
    return [Job("explore.work:fold", {**network, "cycles": c}) for c in cycles]


def files(store: Store) -> dict[str, bytes]:
    """Everything in ``store`` but what a kill left half-written."""
    return {path.stem: path.read_bytes() for path in store.folder.glob("[!.]*")}


def test_here_and_in_a_pool_the_results_are_the_same(tmp_path: Path) -> None:
    asked = [*folds(500, 2_000), *squares(20)]
    here, pool = Store(tmp_path / "here"), Store(tmp_path / "pool")
    told: list[tuple[str, int, int]] = []
    one = jobs.run([*asked, *asked[:5]], here, workers=1, progress=lambda *state: told.append(state))
    two = jobs.run(asked, pool, workers=2)
    assert one == two and list(one) == list(two) == [job.key for job in asked]
    assert files(here) == files(pool) and len(files(here)) == len(asked)
    start = [("fold", 0, 2), ("square", 0, 20)]
    assert told == [*start, *(("fold", k, 2) for k in (1, 2)), *(("square", k, 20) for k in range(1, 21))]
    assert one[asked[0].key]["cycles"] <= 500 < one[asked[1].key]["cycles"] <= 2_000


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_is_computed_twice(tmp_path: Path, workers: int) -> None:
    asked = [Job("explore.work:noted", {"x": x, "folder": str(tmp_path)}) for x in range(12)]
    store = Store(tmp_path / "store")
    jobs.run(asked[:7], store, workers=workers)
    (store.folder / f"{asked[3].key}.json").write_bytes(b"")
    found = jobs.run(asked, store, workers=workers)
    calls = [int(line.split()[0]) for line in (tmp_path / "calls").read_text().splitlines()]
    assert list(found.values()) == list(range(1, 13)) and sorted(calls) == sorted([*range(12), 3])


def test_the_key_is_of_the_call_and_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job("a:b", {"x": (1, 2), "y": {"b": 1, "a": 2.0}})
    assert job.arguments == {"x": [1, 2], "y": {"a": 2.0, "b": 1}} and job.key == Job("a:b", job.arguments).key
    assert len({job.key, Job("a:c", job.arguments).key, Job("a:b", {**job.arguments, "x": [1]}).key}) == 3
    monkeypatch.setattr(jobs, "fingerprint", lambda: "other")
    assert Job("a:b", job.arguments).key != job.key
    with pytest.raises(JobError, match="^a:b: arguments must be JSON values: .*PosixPath"):
        Job("a:b", {"path": Path("x")})


def test_the_fingerprint_is_of_every_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sources").mkdir()
    for name in ("__init__.py", "a.py", "b.v", "c.txt"):
        (tmp_path / "sources" / name).write_text("x")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(perform, "PACKAGES", ("sources",))
    whole = perform.fingerprint.__wrapped__()
    (tmp_path / "sources" / "c.txt").write_text("y")
    assert perform.fingerprint.__wrapped__() == whole
    (tmp_path / "sources" / "b.v").write_text("y")
    assert perform.fingerprint.__wrapped__() != whole


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_names_the_job(tmp_path: Path, workers: int) -> None:
    store = Store(tmp_path)
    with pytest.raises(JobError, match=r"^conv2: no such stage \(explore.work:fails \{\"x\":0\}\)$") as caught:
        jobs.run([*squares(5), Job("explore.work:fails", {"x": 0}), *squares(9, 0.01)], store, workers=workers)
    assert isinstance(caught.value.__cause__, PlanError) and len(store.keys()) >= 6 - workers
    assert 'raise PlanError("conv2' in caught.value.__cause__.__notes__[0], "where it was raised"
    with pytest.raises(JobError, match=r"^Unpicklable: 1 and second \(explore.work:fails"):
        jobs.run([Job("explore.work:fails", {"x": 1}), *squares(2)], store, workers=workers)
    for value in ("nan", "none", "set"):
        with pytest.raises(JobError, match=r"\(explore.work:gives \{\"value\":"):
            jobs.run([Job("explore.work:gives", {"value": value}), *squares(2)], store, workers=workers)
    with pytest.raises(JobError, match=r"^TypeError: square\(\) got an unexpected .*\(explore.work:square \{\"y\":1\}"):
        jobs.run([Job("explore.work:square", {"y": 1}), *squares(2)], store, workers=workers)
    with pytest.raises(JobError, match=r"^ModuleNotFoundError: .*\(explore.absent:f"):
        jobs.run([Job("explore.absent:f", {}), *squares(2)], store, workers=workers)
    with pytest.raises(JobError, match="workers must be 1 or more, not 0"):
        jobs.run(squares(1), store, workers=0)


def test_a_worker_with_other_code_refuses() -> None:
    failure = perform.perform("explore.work:square", '{"x":2}', "0" * 64)
    assert isinstance(failure, perform.Failure) and "another version of spikeloom" in str(failure.error)


def test_work_that_kills_its_worker(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    once = Job("explore.work:dies_first", {"x": 1, "folder": str(tmp_path), "times": 1})
    assert jobs.run([*squares(3), once, *squares(9)], store, workers=2)[once.key] == 1
    with pytest.raises(JobError, match=r"^its worker died, 3 times \(explore.work:dies \{\"x\":7\}\)$"):
        jobs.run([Job("explore.work:dies", {"x": 7}), *squares(12, 0.001)], store, workers=2)
    assert set(store.keys()) >= {job.key for job in squares(12, 0.001)}, "all others are done"


def test_what_was_under_way_beside_it_is_done_all_the_same() -> None:
    class Twice(WorkerPool):
        tries = 2

    done, (slow,) = list[Any](), squares(1, 1.0)
    with Twice(2) as crew, pytest.raises(JobError, match="its worker died, 2 times"):
        drive([Job("explore.work:dies", {"x": 7}), slow], crew, lambda job, _: done.append(job))
    assert done == [slow]


def started(store: Store, asked: list[Job], mark: str) -> subprocess.Popen[str]:
    """A process that runs ``asked``; all processes it starts have ``mark`` in their environment."""
    text = json.dumps([[job.work, job.arguments] for job in asked])
    path = os.pathsep.join(str(Path(folder).resolve()) for folder in sys.path)
    environment = {**os.environ, "PYTHONPATH": path, "MARK": mark}
    command = [sys.executable, str(SCRIPT), str(store.folder), text]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)


def marked(mark: str) -> list[str]:
    """Command lines of the processes that have ``mark`` in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text())
        except OSError:  # it has ended
            pass
    return found


def assert_all_end(mark: str) -> None:
    end = time.monotonic() + 10
    while found := marked(mark):
        assert time.monotonic() < end, found
        time.sleep(0.05)


needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no /proc to look for processes in")


@needs_proc
@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_a_killed_run_goes_on(tmp_path: Path, kills: int) -> None:
    asked = [*squares(45 * kills, 0.01), *folds(300, 400, 500, 700, 1_000, 2_000)]
    random.Random(0).shuffle(asked)
    whole, killed = Store(tmp_path / "whole"), Store(tmp_path / "killed")
    before = jobs.run(asked, whole, workers=1)
    draw, stages = random.Random(kills), []
    for k in range(kills):
        mark = f"explored-{uuid4()}"
        process = started(killed, asked, mark)
        assert process.stdout is not None
        if k % 3 < 2:  # while it works, else at any moment from its start
            done = int(process.stdout.readline())
            while int(process.stdout.readline()) <= done:
                pass
        time.sleep(draw.uniform(0, 0.3 if k % 3 < 2 else 1.5))
        assert process.poll() is None, "it was killed"
        process.kill()
        process.wait()
        process.stdout.close()
        assert_all_end(mark)
        stages.append(len(killed.keys()))
    assert stages[0] > 0 and stages == sorted(stages) and stages[-1] < len(asked), stages
    assert jobs.run(asked, killed, workers=2) == before
    assert files(killed) == files(whole)


@needs_proc
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_tools_that_jobs_start_end_with_the_run(tmp_path: Path, end: signal.Signals) -> None:
    store, mark = Store(tmp_path / "store"), f"explored-{uuid4()}"
    process = started(store, [*squares(3), Job("explore.work:starts_tool", {"folder": str(tmp_path)})], mark)
    assert process.stdout is not None
    while not (tmp_path / "tool").exists() or len(store.keys()) < 3:
        time.sleep(0.05)
    assert len(marked(mark)) >= 3, "the run, its worker and the tool"
    os.killpg(process.pid, end)  # as a terminal does
    try:
        assert process.wait(timeout=10)
    finally:
        process.kill()
        process.stdout.close()
    assert_all_end(mark)
    assert len(store.keys()) == 3
