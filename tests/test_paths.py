"""No committed file names a place outside the project: neither a folder of one machine nor one beside the clone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOMES = re.compile(r"(?<![\w.:/])/(?:home|root|Users|work|mnt|media|srv|data)/\w[\w./-]*")
UPWARDS = re.compile(r"(?<![\w./])(?:\.\./)+\w[\w-][\w./-]+")
LIKE_A_PATH = {"tests/test_paths.py"}
"""Files whose paths are examples of what is refused."""


def committed() -> list[str]:
    """The files of the repository; outside a clone (an sdist, say) there is no list of them."""
    listed = subprocess.run(["git", "ls-files", "-z"], check=False, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a clone: git lists no files")
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def outside(name: str, text: str) -> list[str]:
    """The paths in ``text`` of the file ``name`` that lead out of the project.

    A path upwards may count from the file's folder (links in documents) or from the project's (recipes).
    """
    found = HOMES.findall(text)
    folder = PurePosixPath(name).parent
    for path in UPWARDS.findall(text):
        up = path.count("../")
        if up > len(folder.parts) or not name.endswith((".md", ".html", ".js", ".css", ".py", "Makefile")):
            found.append(path)
    return found


def test_no_committed_file_names_a_path_outside() -> None:
    names = committed()
    assert "models/digits-t4w4.safetensors" in names and "examples/digits.toml" in names
    found = {}
    for name in names:
        if name not in LIKE_A_PATH and (paths := outside(name, (ROOT / name).read_bytes().decode("latin-1"))):
            found[name] = sorted(set(paths))
    assert not found


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("examples/a.toml", 'data = "mnist:../elsewhere/mnist"', ["../elsewhere/mnist"]),
        ("models/a.safetensors", r"{\"file\": \"../elsewhere/w.th\"}", ["../elsewhere/w.th"]),
        ("docs/a.md", "[models](../models/README.md)", []),
        ("docs/a.md", "[data](../../data/README.md)", ["../../data/README.md"]),
        ("benchmarks/a.json", '"path": "/home/me/net.v"', ["/home/me/net.v"]),
        ("README.md", "https://example.com/home/me and out/home/me", []),
    ],
)
def test_what_counts_as_outside(name: str, text: str, wanted: list[str]) -> None:
    assert outside(name, text) == wanted
