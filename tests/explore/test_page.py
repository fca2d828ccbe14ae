"""The report of an exploration: its bytes, and what it shows and does in a real browser."""

from __future__ import annotations

import copy
import csv
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spikeloom.browser import find_browser
from spikeloom.explore import page, picture, tables

Found = dict[str, Any]


@pytest.fixture(scope="module")
def text(found: Found) -> str:
    return page.render(found)


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
            assert flags == [flag for flag in ("skip", "logic") if fold[flag]]
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


def sparse(found: Found) -> Found:
    """As little as an exploration can find: one point, no device, no images, nothing synthesised."""
    small = copy.deepcopy(found)
    small["networks"], small["points"] = small["networks"][:1], small["points"][:1]
    small |= {"device": None, "roofline": None, "data": None, "cost_model": None, "seconds": {}, "versions": {}}
    small["search"]["notes"], small["objectives"] = [], ["fps", "luts"]
    for thing in (*small["networks"], *small["points"]):
        thing |= {key: None for key in ("accuracy", "operations", "energy_nj", "ann_energy_nj",
                                        "operations_per_weight_bit") if key in thing}  # fmt: skip
    small["points"][0] |= {"synthesis": None, "front": True, "ebr": 0}
    return small


# In a browser.

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium on this machine")
    with sync.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Any, text: str, tmp_path: Path) -> Iterator[Open]:
    """Open the page in a window; at the end it must not have complained nor loaded anything but itself."""
    contexts, complaints, requests = [], [], []

    def open_page(made: str = text, fragment: str = "", **options: Any) -> Any:
        file = tmp_path / "explore.html"
        file.write_text(made, encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        window = context.new_page()
        window.on("console", lambda message: complaints.append(message.text))
        window.on("pageerror", lambda error: complaints.append(str(error)))
        window.on("request", lambda request: requests.append(request.url))
        window.goto(file.as_uri() + fragment)
        return window

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file://", "data:", "blob:"))] == []


def shown(window: Any) -> int:
    """The point whose details the page shows."""
    found = re.match(r"Point (\d+):", window.inner_text("#point-name"))
    assert found is not None
    return int(found[1])


def comes(window: Any, point: int) -> None:
    """Wait until the details are those of ``point``."""
    window.wait_for_function(f"document.getElementById('point-name').textContent.startsWith('Point {point}:')")


def shows(window: Any, point: Found) -> None:
    """Assert that the details are those of ``point``: its command, its folds, what binds it."""
    assert shown(window) == point["id"]
    assert window.inner_text("#point-build") == point["build"]
    assert window.inner_text("#point-binds") == point["binds"]
    rows = window.locator("#stages-body tr").all()
    texts = [row.locator("td").all_inner_texts() for row in rows]
    assert [(cells[0], cells[1]) for cells in texts] == [(s["name"], s["fold"]) for s in point["stages"]]
    assert window.url.endswith(f"#point={point['id']}")


def place(window: Any, chart: str, x: float, y: float) -> tuple[float, float]:
    """Where a chart has the place (x, y), in pixels of the window."""
    window.locator(f"#{chart}").scroll_into_view_if_needed()
    found = window.evaluate(
        """([chart, x, y]) => {
          const box = document.getElementById(chart), edge = box.getBoundingClientRect();
          const { xaxis, yaxis } = box._fullLayout;
          return [edge.left + xaxis._offset + xaxis.d2p(x), edge.top + yaxis._offset + yaxis.d2p(y)];
        }""",
        [chart, x, y],
    )
    return found[0], found[1]


def ids(window: Any) -> list[int]:
    """The points in the table, in its order."""
    return [int(text) for text in window.locator("#points-body .pick").all_inner_texts()]


def test_every_section_is_there(opened: Open, found: Found) -> None:
    window = opened()
    for name in page.SECTIONS:
        assert window.inner_text(f"#{name}").strip(), name
    for chart in ("front", "busy", "area", "roofline"):
        assert window.get_attribute(f"#{chart}-chart", "aria-label").startswith("Chart: ")
        assert window.locator(f"#{chart}-chart svg.main-svg path").count() > 5, chart
    assert "operations a cycle" in "".join(window.locator("#roofline-chart .annotation-text").all_text_contents())
    assert window.locator("#busy-chart .bars path").count() == len(found["points"][0]["stages"])
    assert ids(window) == [p["id"] for p in sorted(found["points"], key=lambda p: (-p["fps"], p["id"]))]
    assert "<b>x</b>" in window.inner_text("#points-body") and "<b>x</b>, counts" in window.inner_text("#key")
    assert not [title for title in window.locator(".modebar-btn").evaluate_all("all => all.map(b => b.dataset.title)")
                if re.search("share|cloud|plotly", title, re.IGNORECASE)]  # fmt: skip


@pytest.mark.parametrize("chart", ["front", "roofline"])
def test_a_click_on_a_point_shows_its_fold(opened: Open, found: Found, chart: str) -> None:
    window = opened(fragment="#point=0")
    alone = [p for p in found["points"] if p["skip"]]
    assert [p["network"] for p in alone[:: len(alone) - 1]] == [0, 1]
    for point in (alone[0], alone[-1]):
        at = (point["luts"], point["fps"])
        if chart == "roofline":
            at = point["operations_per_weight_bit"], point["operations_per_cycle"] * found["clock"]["mhz"] * 1e6
        window.mouse.move(*place(window, f"{chart}-chart", *at))
        window.locator(f"#{chart}-chart .hovertext").wait_for()
        hover = window.locator(f"#{chart}-chart .hovertext").first.text_content()
        assert f"point {point['id']}: {found['networks'][point['network']]['name']}, {point['form']}" in hover
        window.mouse.click(*place(window, f"{chart}-chart", *at))
        comes(window, point["id"])
        shows(window, point)


def test_a_click_on_a_row_or_its_key_shows_its_fold(opened: Open, found: Found) -> None:
    window = opened()
    points = {p["id"]: p for p in found["points"]}
    window.locator("#points-body tr").nth(2).locator("td").nth(3).click()
    shows(window, points[ids(window)[2]])
    window.locator("#points-body .pick").nth(5).press("Enter")
    shows(window, points[ids(window)[5]])
    assert window.locator("#points-body tr.selected .pick").all_inner_texts() == [str(ids(window)[5])]
    assert window.evaluate("document.activeElement.textContent") == str(ids(window)[5])
    made = next(p for p in found["points"] if p["synthesis"])
    window.locator("#model a").click()
    shows(window, made)
    assert f"{page.number(page.synthesis_luts(made['synthesis']))}" in window.inner_text("#point-synthesis")


def test_filters_act_on_chart_and_table(opened: Open, found: Found) -> None:
    window, points = opened(), found["points"]
    window.click("#filter-box summary")
    dots = "document.getElementById('front-chart').data.filter(t => t.text).flatMap(t => t.customdata)"

    def passes(test: Callable[[Found], bool]) -> None:
        wanted = sorted(p["id"] for p in points if test(p))
        assert 0 < len(wanted) < len(points)
        assert sorted(ids(window)) == wanted
        assert sorted(window.evaluate(dots)) == wanted
        assert window.inner_text("#count").startswith(f"{len(wanted)} of {len(points)} points")
        window.click("button[type=reset]")
        window.wait_for_function(f"document.querySelectorAll('#points-body tr').length == {len(points)}")

    window.uncheck("input[name=network][value='1']")
    passes(lambda p: p["network"] == 0)
    window.uncheck("input[name=form][value=spikes]")
    passes(lambda p: p["form"] == "counts")
    window.select_option("select[name=skip]", "true")
    passes(lambda p: p["skip"])
    window.check("input[name=front]")
    passes(lambda p: p["front"])
    window.check("input[name=fits]")
    passes(lambda p: p["fits"])
    for name in ("fps", "luts", "ebr", "latency_us"):
        values = sorted({p[name] for p in points})
        limit = values[len(values) // 2 - (name != "fps")]
        window.fill(f"input[name={name}]", str(limit))
        passes(lambda p, name=name, limit=limit: p[name] >= limit if name == "fps" else p[name] <= limit)
    window.fill("input[name=accuracy]", "100.5")
    assert ids(window) == [] and window.inner_text("#count").startswith("0 of")


def test_columns_sort_and_axes_change(opened: Open, found: Found) -> None:
    window, points = opened(), found["points"]
    window.click("#points-head [data-key=luts]")
    assert ids(window) == [p["id"] for p in sorted(points, key=lambda p: (-p["luts"], p["id"]))]
    window.locator("#points-head [data-key=luts]").press("Enter")
    assert ids(window) == [p["id"] for p in sorted(points, key=lambda p: (p["luts"], p["id"]))]
    assert window.locator("#points-head [aria-sort=ascending]").all_inner_texts() == ["LUTs ▲"]
    choices = window.locator("#axes select[name=x] option").evaluate_all("all => all.map(o => o.value)")
    assert choices == found["objectives"]
    window.select_option("#axes select[name=x]", "latency_us")
    window.select_option("#axes select[name=y]", "ebr")
    axes = window.evaluate("(({xaxis, yaxis}) => [xaxis.title.text, xaxis.type, yaxis.title.text, yaxis.type])"
                           "(document.getElementById('front-chart')._fullLayout)")  # fmt: skip
    assert axes == ["latency (µs)", "log", "block RAMs", "linear"]
    window.uncheck("#axes input[name=log-x]")
    assert window.evaluate("document.getElementById('front-chart')._fullLayout.xaxis.type") == "linear"
    first = shown(window)
    point = max((p for p in points if p["id"] != first), key=lambda p: p["latency_us"])
    window.mouse.click(*place(window, "front-chart", point["latency_us"], point["ebr"]))
    comes(window, point["id"])


def test_dragging_zooms_and_filters_keep_it(opened: Open) -> None:
    window = opened()
    span = "(r => r[1] - r[0])(document.getElementById('front-chart')._fullLayout.xaxis.range)"
    before, box = window.evaluate(span), window.locator("#front-chart .nsewdrag").bounding_box()
    window.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    window.mouse.down()
    window.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.7 * box["height"], steps=4)
    window.mouse.up()
    window.wait_for_function(f"{span} < {0.5 * before}")
    zoomed = window.evaluate(span)
    window.click("#filter-box summary")
    window.check("input[name=front]")
    assert window.evaluate(span) == pytest.approx(zoomed)


def test_the_address_selects_a_point(opened: Open, found: Found) -> None:
    point = found["points"][3]
    window = opened(fragment="#point=3")
    shows(window, point)
    window.evaluate("location.hash = '#point=5'")
    comes(window, 5)
    shows(window, found["points"][5])
    assert shown(opened(fragment="#point=999")) in {p["id"] for p in found["points"] if p["fits"] and p["front"]}


def test_the_command_is_copied(opened: Open, found: Found) -> None:
    window = opened(fragment="#point=2", permissions=["clipboard-read", "clipboard-write"])
    window.click("[data-copy=point-build]")
    window.wait_for_function("document.querySelector('[data-copy=point-build]').textContent == 'copied'")
    assert window.evaluate("navigator.clipboard.readText()") == found["points"][2]["build"]


def test_is_as_wide_as_the_window(opened: Open) -> None:
    window = opened(viewport={"width": 360, "height": 780}, has_touch=True, is_mobile=True)
    assert window.evaluate("document.getElementById('front-chart')._fullLayout.dragmode") is False  # a swipe scrolls
    for width in (360, 768, 1024):
        window.set_viewport_size({"width": width, "height": 780})
        window.wait_for_function("(c => c._fullLayout.width == c.clientWidth)(document.getElementById('area-chart'))")
        assert window.evaluate("document.documentElement.scrollWidth") == width
        for chart in ("front", "busy", "area", "roofline"):
            box = window.locator(f"#{chart}-chart svg.main-svg").first.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= width, (chart, width)
        table, body = (window.locator(f"#points {part}").bounding_box()["width"] for part in (".wide", "table"))
        assert table <= width
        more = window.locator("#points .wide").get_attribute("class").split()
        assert ("more-right" in more) == (body > table), "a table that goes on says so"


def test_what_matters_is_on_the_first_screen(opened: Open) -> None:
    """On a desk and on a phone the chart is in sight before anybody scrolls, and no control is without a name."""
    for width, height in ((1400, 900), (390, 844)):
        window = opened(viewport={"width": width, "height": height}, has_touch=width < 500, is_mobile=width < 500)
        box = window.locator("#front-chart svg.main-svg").first.bounding_box()
        assert box["y"] > 0 and box["y"] + box["height"] <= height, (width, box)
        assert window.evaluate("document.documentElement.scrollWidth") == width
    nameless = """[...document.querySelectorAll("input, select, button")].filter((control) =>
      !control.getAttribute("aria-label") && !control.textContent.trim() &&
      ![...control.labels ?? []].some((label) => label.textContent.trim())).map((control) => control.outerHTML)"""
    assert window.evaluate(nameless) == []


def test_a_wide_window_shows_the_whole_table_and_no_scroller_in_a_scroller(opened: Open) -> None:
    window = opened(viewport={"width": 1400, "height": 900})
    clipped = """[...document.querySelectorAll("#details, #stages, #points .wide")].filter((box) =>
      box.scrollWidth > box.clientWidth + 1).map((box) => box.id || box.className)"""
    assert window.evaluate(clipped) == []
    assert window.evaluate("getComputedStyle(document.getElementById('details')).overflowY") == "visible"


def test_the_page_says_whose_it_is_when_it_was_made_and_where_the_rest_lies(opened: Open, found: Found) -> None:
    dated = {**found, "date": "2026-11-29T04:50:12+00:00"}
    window = opened(page.render(dated), fragment="#point=2")
    assert window.inner_text(".product") == "Spikeloom 0.1.0, design space · 2026-11-29 04:50 UTC"
    assert window.get_attribute("#point-fold", "href") == found["points"][2]["fold_file"]


def test_prints_the_front_and_the_point_without_controls(opened: Open, found: Found, tmp_path: Path) -> None:
    window = opened(viewport={"width": 690, "height": 1000}, color_scheme="dark", fragment="#point=2")
    window.emulate_media(media="print", color_scheme="dark")
    window.wait_for_function("document.getElementById('front-chart')._fullLayout.width == 690")
    for part in ("#filters", "#axes", "[data-copy=point-build]", "#front-chart .modebar"):
        assert not window.locator(part).first.is_visible(), part
    for part in ("#point-build", "#point-binds", "#busy-chart svg >> nth=0", "#area-chart svg >> nth=0"):
        assert window.locator(part).is_visible(), part
    shows(window, found["points"][2])
    rows = window.locator("#points-body tr").all()
    assert len([row for row in rows if row.is_visible()]) == sum(p["front"] for p in found["points"])
    assert window.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert window.evaluate("document.getElementById('front-chart')._fullLayout.font.color") == "#000"
    assert window.evaluate("document.documentElement.scrollWidth") <= 690
    window.pdf(path=str(tmp_path / "page.pdf"), format="A4")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    window.emulate_media(media="screen", color_scheme="dark")
    window.wait_for_function("document.getElementById('front-chart')._fullLayout.font.color != '#000'")
    assert window.evaluate("document.documentElement.scrollWidth") == 690


def test_shows_as_little_as_there_can_be(opened: Open, found: Found) -> None:
    window = opened(page.render(sparse(found)))
    shown_text = {name: window.inner_text(f"#{name}") for name in page.SECTIONS}
    assert all(text.strip() for text in shown_text.values())
    assert "A roofline needs a device" in shown_text["roofline"] and "Nothing was synthesised" in shown_text["model"]
    assert "accuracy" not in shown_text["front"] + shown_text["points"] and "undefined" not in str(shown_text)
    assert "null" not in str(shown_text) and "NaN" not in str(shown_text) and "None" not in str(shown_text)
    point = found["points"][0]
    window.mouse.click(*place(window, "front-chart", point["luts"], point["fps"]))
    shows(window, point)
