"""Test runs in two workers, by the project's own options: one of which a worker dies ends with an error, soon; tests of
a group run in one worker, so that what they share is made once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

# The last group is what hangs without the option: its other tests wait for a worker that is no more.
DYING = """
import os, signal, pytest

@pytest.mark.parametrize("k", range(6))
def test_before(k): pass

@pytest.mark.xdist_group("one")
def test_dies(): os.kill(os.getpid(), signal.SIGKILL)

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("k", range(2))
def test_after(k): pass
"""

GROUPS = """
import os, pytest
from pathlib import Path

@pytest.mark.parametrize("k", [pytest.param(k, marks=pytest.mark.xdist_group(f"g{k % 2}")) for k in range(8)])
def test_in_a_group(k):
    with Path(f"worker{k % 2}.txt").open("a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + " ")
"""


def run(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(text)
    options = ["-c", ROOT / "pyproject.toml", "--rootdir", folder, "-p", "no:cacheprovider"]
    options += ["-n", "2", "--dist", "loadgroup"]
    return subprocess.run([sys.executable, "-m", "pytest", *options, folder], cwd=folder, timeout=60,
                          capture_output=True, text=True, check=False)  # fmt: skip


def test_a_run_of_which_a_worker_dies_ends_with_an_error(tmp_path: Path) -> None:
    done = run(DYING, tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "crashed while running 'test_it.py::test_dies" in done.stdout


def test_a_group_has_one_worker(tmp_path: Path) -> None:
    done = run(GROUPS, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    workers = [(tmp_path / f"worker{k}.txt").read_text().split() for k in range(2)]
    assert {len(names) for names in workers} == {4} and all(len(set(names)) == 1 for names in workers), workers
    assert workers[0] != workers[1]
