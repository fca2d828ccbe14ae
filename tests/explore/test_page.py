"""The report of an exploration: its bytes, its table and its picture."""

from __future__ import annotations

import copy
import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from page_window import Found
from PIL import Image

from spikeloom.explore import page, picture, tables

pytestmark = pytest.mark.xdist_group("page")


class Loads(HTMLParser):
    """Collects what the tags of a page load; what stands in scripts is text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.urls += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]


def test_is_one_file_that_loads_nothing_and_is_reproducible(text: str, found: Found, tmp_path: Path) -> None:
    read = Loads(text)
    beside = {"points.csv", "explore.json", "front.png", "folds/"}  # links, to what is written with the page
    assert {url for url in read.urls if not url.startswith(("#", "data:"))} == beside
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert text == page.render(copy.deepcopy(found))
    page.write(tmp_path / "explore.html", found)
    assert (tmp_path / "explore.html").read_text(encoding="utf-8") == text


def test_names_are_text_and_the_data_is_whole(text: str, found: Found) -> None:
    evil = copy.deepcopy(found)
    evil["networks"][0]["name"] = evil["title"] = "</script><script>alert(1)</script><!--"
    evil["command"] = evil["points"][0]["build"] = "spikeloom '<img src=x onerror=alert(1)>'"
    made = page.render(evil)
    assert Loads(made).tags == Loads(text).tags
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', made, re.DOTALL)
    assert data is not None and json.loads(data[1])["points"] == evil["points"]
    assert json.loads(data[1])["networks"] == evil["networks"]


def test_refuses_what_it_cannot_show(found: Found) -> None:
    with pytest.raises(ValueError, match="no point to show"):
        page.render({**found, "points": []})
    broken = copy.deepcopy(found)
    broken["points"][0]["luts"] = float("nan")
    with pytest.raises(ValueError, match="Out of range float"):
        page.render(broken)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0, "0"), (0.01234, "0.0123"), (1, "1"), (9.876, "9.88"), (10.04, "10"), (520833.3, "520,833")],
)
def test_numbers_are_in_thousands(value: float | None, shown: str) -> None:
    assert page.number(value) == shown


def test_table_has_a_row_a_point(found: Found, tmp_path: Path) -> None:
    tables.write(tmp_path / "points.csv", found)
    with (tmp_path / "points.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found["points"])
    for row, point in zip(rows, found["points"], strict=True):
        assert float(row["frames_per_second"]) == pytest.approx(point["fps"], rel=1e-8)
        assert float(row["luts"]) == pytest.approx(point["luts"], rel=1e-8)
        assert row["fits"] == ("yes" if point["fits"] else "no")
        assert row["network"] == found["networks"][point["network"]]["name"]
        folds = dict(part.split("=") for part in row["folds"].split("; "))
        for name, fold in point["folds"].items():
            shape, *flags = folds[name].split()
            assert shape == f"{fold['outputs']}x{fold['inputs']}x{fold['steps']}"
            pixels = [str(fold["pixels"]), "pixels"] * (fold["pixels"] > 1)
            assert flags == [flag for flag in ("skip", "logic", "multiply", "packed") if fold[flag]] + pixels
    assert sum(bool(row["synthesis_lut4_eq"]) for row in rows) == 1
    assert any("skip" in row["folds"] for row in rows)


def test_picture_is_reproducible_and_its_front_is_one(found: Found, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        picture.write(tmp_path / name, found)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (1440, 960)
    best, points = picture.front(found["points"]), found["points"]
    for point in points:
        beaten = any(p["luts"] <= point["luts"] and p["fps"] >= point["fps"] and p is not point for p in points)
        assert (point in best) or beaten, point["id"]
    assert [p["fps"] for p in best] == sorted({p["fps"] for p in best})
