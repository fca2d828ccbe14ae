"""Jobs on a real dask cluster on loopback: a scheduler and workers in processes of their own, some of them killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from spikeloom.explore import jobs
from spikeloom.explore.explore import explore
from spikeloom.explore.jobs import Job, JobError
from spikeloom.explore.options import Options
from spikeloom.explore.store import Store
from spikeloom.gen.errors import PlanError
from spikeloom.quant.ir.netfile import load

Client = pytest.importorskip("distributed", reason="no dask.distributed").Client

ROOT = Path(__file__).resolve().parents[2]
NETWORK = ROOT / "models" / "digits-t4w4.safetensors"


@dataclass
class Dask:
    """``address`` of a scheduler; its process and those of the workers."""

    address: str
    folder: Path
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]

    def add(self, path: str | None = None, *, nanny: bool = False) -> subprocess.Popen[bytes]:
        """Start a worker, with the PYTHONPATH given or the one that this process has; a nanny starts it again."""
        options = ["--nworkers", "1", "--nthreads", "1", "--no-dashboard", "--nanny" if nanny else "--no-nanny"]
        local = ["--host", "127.0.0.1", "--local-directory", str(self.folder / f"w{len(self.workers)}")]
        self.workers.append(_start(["worker", self.address, *options, *local], self.folder, path))
        return self.workers[-1]


def _start(arguments: list[str], folder: Path, path: str | None = None) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(_path()) if path is None else path}
    with (folder / "dask.log").open("ab") as log:
        command = [sys.executable, "-m", "dask", *arguments]
        return subprocess.Popen(command, stderr=log, stdout=log, env=environment, cwd=folder)


def _path() -> list[str]:
    """Where this process imports from, for processes in other folders."""
    return [str(Path(folder).resolve()) for folder in sys.path]


@contextmanager
def cluster(folder: Path, workers: int, *, nanny: bool = False) -> Iterator[Dask]:
    file = folder / "scheduler.json"
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    scheduler = _start(["scheduler", *options], folder)
    made = Dask("", folder, scheduler, [])
    try:
        made.address = _address(file)
        for _ in range(workers):
            made.add(nanny=nanny)
        if workers:
            _until_workers(made.address, workers)
        yield made
    finally:
        for process in made.workers:
            process.terminate()  # a nanny ends its worker
        for process in made.workers:
            _end(process, 10)
        _end(scheduler, 0)


def _end(process: subprocess.Popen[bytes], patience: float) -> None:
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _address(file: Path) -> str:
    for _ in range(600):
        try:
            return json.loads(file.read_text())["address"]
        except (FileNotFoundError, ValueError):
            time.sleep(0.05)
    raise TimeoutError("no scheduler")


def results(store: Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.folder.iterdir()}


def work(folder: Path) -> list[Job]:
    """Real searches, and short jobs that write down who did them."""
    network = {"network": str(NETWORK), "digest": load(NETWORK).hash}
    real = [Job("explore.work:fold", {**network, "cycles": cycles}) for cycles in (1_000, 2_000)]
    return real + [Job("explore.work:noted", {"x": x, "folder": str(folder), "seconds": 0.15}) for x in range(24)]


def squares(count: int, seconds: float = 0.0) -> list[Job]:
    return [Job("explore.work:square", {"x": x, "seconds": seconds}) for x in range(count)]


def _calls(folder: Path) -> list[tuple[int, int]]:
    """(x, worker) of the short jobs that were begun so far."""
    file = folder / "calls"
    lines = file.read_text().splitlines() if file.exists() else []
    return [(int(x), int(worker)) for x, worker in map(str.split, lines)]


def test_the_same_on_a_cluster_of_which_a_worker_is_killed(tmp_path: Path) -> None:
    (tmp_path / "dask").mkdir()
    asked, alone = work(tmp_path), Store(tmp_path / "alone")
    here = jobs.run(asked, alone, workers=1)
    (tmp_path / "calls").unlink()
    with cluster(tmp_path / "dask", 3) as dask:
        told: list[tuple[str, int, int]] = []
        killed: list[tuple[int, int]] = []

        def progress(*state: Any) -> None:
            told.append(state)
            if not killed and len(before := _calls(tmp_path)) > 8:
                while len(_calls(tmp_path)) == len(before):
                    time.sleep(0.001)
                killed.append(_calls(tmp_path)[-1])  # has just begun
                os.kill(killed[0][1], signal.SIGKILL)

        there = Store(tmp_path / "there")
        found = jobs.run(asked, there, scheduler=dask.address, progress=progress)
        _, victim = killed[0]
        assert [process.wait() for process in dask.workers if process.pid == victim] == [-signal.SIGKILL]
        assert sum(process.poll() is None for process in dask.workers) == 2
        calls = _calls(tmp_path)
        again = jobs.run(asked, there, scheduler=dask.address)
        with pytest.raises(JobError, match=r"^conv2: no such stage \(explore.work:fails \{\"x\":0\}\)") as caught:
            jobs.run([*squares(5), Job("explore.work:fails", {"x": 0})], Store(tmp_path / "b"), scheduler=dask.address)
        assert isinstance(caught.value.__cause__, PlanError)
    assert found == here == again and list(found) == list(here) == [job.key for job in asked]
    assert results(there) == results(alone), "each result once, byte for byte, and nothing beside it"
    begun = [x for x, _ in calls]
    assert set(begun) == set(range(24)) and begun.count(killed[0][0]) > 1, "what was under way was done again"
    assert len({worker for _, worker in calls}) > 1
    assert [state for state in told if state[0] == "noted"] == [("noted", k, 24) for k in range(25)]


@pytest.mark.slow
def test_a_worker_with_other_code_is_named(tmp_path: Path) -> None:
    other = tmp_path / "other"
    _copy(other)
    with cluster(tmp_path, 1) as dask:
        dask.add(os.pathsep.join([str(other), *_path()]))
        _until_workers(dask.address, 2)
        with pytest.raises(JobError, match="worker tcp://127.0.0.1:.* has another version of spikeloom"):
            jobs.run(squares(1), Store(tmp_path / "store"), scheduler=dask.address)


@pytest.mark.slow
def test_a_scheduler_that_goes_away(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with cluster(tmp_path, 2) as dask:

        def progress(_: str, done: int, __: int) -> None:
            if done == 10:
                dask.scheduler.kill()

        start = time.monotonic()
        with pytest.raises(JobError, match=r"no result will come: .*\(explore.work:square"):
            jobs.run(squares(100, 0.1), store, scheduler=dask.address, progress=progress)
        assert time.monotonic() - start < 40 and 10 <= len(store.keys()) < 100
    assert len(jobs.run(squares(100, 0.1), store, workers=2)) == 100


@pytest.mark.slow
def test_work_that_kills_its_workers(tmp_path: Path) -> None:
    store, dies = Store(tmp_path / "store"), Job("explore.work:dies", {"x": 1})
    died = pytest.raises(JobError, match=r"^its worker died, 2 times \(explore.work:dies \{\"x\":1\}\)")
    with cluster(tmp_path, 2, nanny=True) as dask, died:
        jobs.run([dies, *squares(40)], store, scheduler=dask.address)
    assert set(store.keys()) == {job.key for job in squares(40)}, "all others are done"


@pytest.mark.slow
def test_a_job_over_which_dask_gives_up_is_tried_once_more(tmp_path: Path) -> None:
    times = 4  # dask's allowed-failures and one
    job = Job("explore.work:dies_first", {"x": 3, "folder": str(tmp_path), "times": times})
    with cluster(tmp_path, 2, nanny=True) as dask:
        found = jobs.run([job, *squares(4)], Store(tmp_path / "store"), scheduler=dask.address)
    assert found[job.key] == 3


@pytest.mark.slow
def test_a_cluster_whose_workers_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spikeloom.explore import cluster as module

    monkeypatch.setattr(module, "WORKERLESS", 3.0)
    with cluster(tmp_path, 1) as dask, pytest.raises(JobError, match="has no worker left; what is finished is stored"):
        jobs.run(squares(40, 0.2), Store(tmp_path / "store"), scheduler=dask.address,
                 progress=lambda *state: dask.workers[0].kill() if state[1] == 3 else None)  # fmt: skip


@pytest.mark.slow
def test_a_scheduler_that_is_not_there(tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(JobError, match="no dask scheduler answers at tcp://127.0.0.1:9: .*'dask scheduler' starts one"):
        jobs.run(squares(1), Store(tmp_path), scheduler="tcp://127.0.0.1:9")
    assert time.monotonic() - start < 15


@pytest.mark.slow
def test_a_cluster_without_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spikeloom.explore import cluster as module

    monkeypatch.setattr(module, "FIRST", 1.0)
    with cluster(tmp_path, 0) as dask, pytest.raises(JobError, match="has no worker; 'dask worker tcp://"):
        jobs.run(squares(1), Store(tmp_path / "store"), scheduler=dask.address)


def test_without_dask_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "spikeloom.explore.cluster", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(JobError, match=r"distributed is missing; run: pip install .*\(the extra 'cluster'\)"):
        jobs.run(squares(1), Store(tmp_path), scheduler="tcp://127.0.0.1:9")


def _until_workers(address: str, count: int) -> None:
    """Wait until the scheduler has that many."""
    with Client(address, set_as_default=False, timeout=60) as client:
        client.wait_for_workers(count, timeout=60)


def _copy(folder: Path) -> None:
    """The package with one more line in one file."""
    for name in ("spikeloom", "hdl", "gen", "quant"):
        to = folder / "spikeloom" / ("" if name == "spikeloom" else name)
        shutil.copytree(ROOT / name, to, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "spikeloom" / "gen" / "folding" / "find.py").open("a") as file:
        file.write("# another\n")


@pytest.mark.slow
def test_an_exploration_on_a_cluster_is_that_of_one_machine(tmp_path):
    """The digits' front, latency and accuracy; a worker is killed in the middle."""
    options = Options(data="digits", images=60, measure=20, trials=24)
    with cluster(tmp_path, 3) as dask:
        killed = threading.Timer(4.0, dask.workers[0].kill)
        killed.start()
        there = explore([NETWORK], replace(options, scheduler=dask.address), tmp_path / "there")
        assert not killed.is_alive(), "it was over before"
        assert dask.workers[0].wait(10) == -signal.SIGKILL
    here = explore([NETWORK], replace(options, workers=1), tmp_path / "here")
    for found in (there, here):
        del found["seconds"], found["search"]["seconds"]
    assert there == here
    assert results(Store(tmp_path / "there")) == results(Store(tmp_path / "here"))
