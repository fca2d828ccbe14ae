"""The report of an exploration in a real browser: what is in sight, in windows of all widths and on paper."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
from page_window import Found, Open, ids, place, shows

from spikeloom.explore import page

pytestmark = pytest.mark.xdist_group("page")


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
