"""A test run of which a worker dies ends with an error, soon: by the project's own options."""

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


def test_a_run_of_which_a_worker_dies_ends_with_an_error(tmp_path):
    (tmp_path / "test_dying.py").write_text(DYING)
    options = ["-c", ROOT / "pyproject.toml", "--rootdir", tmp_path, "-p", "no:cacheprovider"]
    options += ["-n", "2", "--dist", "loadgroup"]
    done = subprocess.run([sys.executable, "-m", "pytest", *options, tmp_path], cwd=tmp_path, timeout=60,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "crashed while running 'test_dying.py::test_dies" in done.stdout
