"""What a window of a browser shows of a report, and where."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Found = dict[str, Any]
Open = Callable[..., Any]


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
