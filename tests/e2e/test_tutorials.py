"""The pages of ``docs/tutorial`` are run as they stand there: files are written, commands and Python are executed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "tutorial").glob("*.md"))
SLOW = ("onnx", "face_detector")
"""Pages that ``make regress`` runs."""
WEIGHTS = {"face_detector": "weights/ultralight-face-slim-320.pth"}
"""What a page needs of the folder that ``SPIKELOOM_DATA`` names."""
BLOCK = re.compile(r"^```(\S+)(?: (\S+))?\n(.*?)^```$", re.M | re.S)
"""The language of a block, the file that it is, or "fails" where it should, and its text."""


def blocks(text: str) -> list[tuple[str, str, str]]:
    return BLOCK.findall(text)


def run(command: list[str], folder: Path, fails: bool = False) -> str:
    """What a command prints; a word that is a program of Python's environment is that one."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 1) == fails, f"{command}: status {done.returncode}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("page", [
    pytest.param(page, id=page.stem, marks=[pytest.mark.slow] if page.stem in SLOW else []) for page in PAGES])
def test_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    needed = WEIGHTS.get(page.stem)
    if needed and not Path(os.environ.get("SPIKELOOM_DATA", ""), needed).is_file():
        pytest.skip(f"no {needed} in the folder that SPIKELOOM_DATA names")
    found = blocks(page.read_text())
    assert len(found) > 5
    for language, name, text in found:
        if language == "python" and name:
            (tmp_path / name).write_text(text)
        elif language == "python":
            run([sys.executable, "-c", text], tmp_path)
        elif language == "sh":
            for line in text.splitlines():
                said = run(["sh", "-c", line], tmp_path, name == "fails")
                assert name != "fails" or said.startswith("error: ")
        else:
            assert language == "text", f"a block of {language} is not run"


def test_blocks_are_found() -> None:
    page = "a\n```sh\nls\n```\n```python x.py\nprint(1)\n\n2\n```\n```sh fails\nfalse\n```\n"
    assert blocks(page) == [("sh", "", "ls\n"), ("python", "x.py", "print(1)\n\n2\n"), ("sh", "fails", "false\n")]
