"""A look at a report in a real browser, without a window: is everything there, and does it complain?"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

__all__ = ["SECTIONS", "check_page", "find_browser"]

SECTIONS = ("summary", "network", "accuracy", "spikes", "timeline", "area", "verification", "reproduce")
"""Identifiers of the sections of the report of a verified design."""

PICTURES = ("spikes", "timeline")
"""Those of them that are pictures."""

_OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
            "--virtual-time-budget=5000")


def find_browser() -> str | None:
    """The program of a browser, or None."""
    names = "chromium", "chromium-browser", "google-chrome"
    return next((path for name in names if (path := shutil.which(name))), None)


def check_page(path: str | Path, sections: Sequence[str] = SECTIONS, pictures: Sequence[str] = PICTURES, *,
               timeout: float = 60.0) -> list[str] | None:
    """Load the report ``path`` in Chromium; return what is wrong with it, or None where there is no browser. All
    ``sections`` must be there and hold text, ``pictures`` shapes too."""
    browser = find_browser()
    if browser is None:
        return None
    with tempfile.TemporaryDirectory(prefix="spikeloom-browser-", ignore_cleanup_errors=True) as profile:
        try:
            done = subprocess.run([browser, *_OPTIONS, f"--user-data-dir={profile}", "--dump-dom",
                                   Path(path).resolve().as_uri()], capture_output=True, text=True, timeout=timeout,
                                  errors="replace", check=False)
        except subprocess.TimeoutExpired:
            return [f"the browser did not finish within {timeout:g} s"]
    if done.returncode:
        return [f"the browser ended with status {done.returncode}: {done.stderr.strip()[-500:]}"]
    said = [line.strip() for line in done.stderr.splitlines() if re.search(r":CONSOLE[:(]", line)]
    return [f"the browser says: {line}" for line in said] + _missing(done.stdout, sections, pictures)


def _missing(dom: str, sections: Sequence[str] = SECTIONS, pictures: Sequence[str] = PICTURES) -> list[str]:
    page = _Page()
    page.feed(dom)
    problems = [f"section {name!r} is missing" for name in sections if name not in page.text]
    problems += [f"section {name!r} is empty" for name, text in page.text.items() if not text.strip()]
    problems += [f"section {name!r} has no picture" for name in pictures
                 if name in page.text and not page.shapes[name]]
    return problems + [f"the page loads {url}" for url in page.loads]


class _Page(HTMLParser):
    """Collects, for each section, its text and the number of shapes in its pictures; and what the page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.text: dict[str, str] = {}
        self.shapes: dict[str, int] = {}
        self.loads: list[str] = []
        self._section: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "section" and (name := values.get("id")):
            self._section, self.text[name], self.shapes[name] = name, "", 0
        elif tag in ("path", "rect", "image", "use") and self._section:
            self.shapes[self._section] += 1
        for key in ("src", "href", "xlink:href"):
            url = values.get(key) or ""
            if tag != "a" and url and not url.startswith(("#", "data:")):
                self.loads.append(url)

    def handle_endtag(self, tag: str) -> None:
        if tag == "section":
            self._section = None

    def handle_data(self, data: str) -> None:
        if self._section:
            self.text[self._section] += data
