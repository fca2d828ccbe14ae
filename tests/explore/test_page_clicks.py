"""The report of an exploration in a real browser: what it does when a person clicks, types and drags."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from page_window import Found, Open, comes, ids, place, shown, shows

from spikeloom.explore import page

pytestmark = pytest.mark.xdist_group("page")


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
