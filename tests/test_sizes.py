"""Rooms stay small: files of at most 300 lines, and at most 15 of them in a folder."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
PRODUCT = ("hdl", "gen", "sim", "quant", "spikeloom")
LINES, FILES = 300, 15


def test_no_file_is_long() -> None:
    files = [path for folder in PRODUCT for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 200
    assert {str(p.relative_to(ROOT)): n for p in files if (n := len(p.read_text().splitlines())) > LINES} == {}


def test_no_folder_is_crowded() -> None:
    folders = [path for top in ("gen", "quant") for path in [ROOT / top, *(ROOT / top).rglob("*")] if path.is_dir()]
    counts = {str(p.relative_to(ROOT)): len(list(p.glob("*.py"))) for p in folders}
    assert max(counts.values()) > 5 and {name: n for name, n in counts.items() if n > FILES} == {}
