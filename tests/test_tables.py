"""The tables of the documents are those of ``benchmarks/results.json``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.records import RESULTS, published, read
from benchmarks.tables import documents, regenerated

ROOT = Path(__file__).resolve().parent.parent


def test_documents_hold_what_was_measured() -> None:
    records = read()
    texts = {path: path.read_text() for path in documents()}
    assert sum(text.count("<!-- table:") for text in texts.values()) >= 5
    for path, text in texts.items():
        assert text == regenerated(text, records), f"{path.relative_to(ROOT)}: run 'make tables'"


def test_a_changed_figure_is_seen() -> None:
    text = (ROOT / "README.md").read_text()
    changed = [replace(r, value=(r.value or 0) + 1) if r.metric == "lut4_eq" else r for r in read()]
    assert regenerated(text, changed) != text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- table: nothing -->\n<!-- end -->\n", "There is no table 'nothing'; there are area, perceptron,"),
        ("<!-- table: digits -->\n| a |\n", "A table's marker has no '<!-- end -->'"),
    ],
)
def test_broken_markers_are_errors(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        regenerated(text, [])


def test_published_figures_are_among_the_results() -> None:
    rows = json.loads(RESULTS.read_text())
    others = [(*r.key, r.value) for r in read() if not r.measured]
    assert others == [(*r.key, r.value) for r in published()]
    assert all(r["command"] and r["unit"] and r["versions"] and r["date"] for r in rows)
