"""Which test runs which statement, and for how long: measured once for the tests of a group."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from . import hook
from .table import ELSEWHERE, GROUPS

__all__ = ["Coverage", "measure", "stale"]

Hits = set[tuple[int, int]]


@dataclass(frozen=True)
class Coverage:
    """``seconds`` of every test that passes, and for each file and line the tests that run it, the quickest first."""

    seconds: dict[str, float]
    lines: dict[str, dict[int, list[str]]]

    @classmethod
    def read(cls, path: Path) -> Coverage:
        """Read what :func:`measure` wrote."""
        tests = {name: entry for part in _stored(path).values() for name, entry in part["tests"].items()}
        seconds: dict[str, float] = {name: entry["seconds"] for name, entry in tests.items()}
        lines: dict[str, dict[int, list[str]]] = {}
        for name in sorted(seconds, key=lambda n: (seconds[n], n)):
            for file, hits in tests[name]["hits"].items():
                for line in hits:
                    lines.setdefault(file, {}).setdefault(line, []).append(name)
        return cls(seconds, lines)

    def of(self, file: str, statement: int) -> list[str]:
        """Tests that run a statement; of one that runs at import, those that run anything of the file."""
        lines = self.lines.get(file, {})
        if file in ELSEWHERE:
            found = {name for name in self.seconds if name.startswith(ELSEWHERE[file])}
        elif statement:
            return lines.get(statement, [])
        else:
            found = {name for names in lines.values() for name in names}
        return sorted(found, key=lambda n: (self.seconds[n], n))


def stale(group: str, path: Path, sources: Collection[str]) -> dict[str, str]:
    """The test files of a group that were not measured as they and the sources are now, with their fingerprints: those
    that any of ``sources`` needs. For what runs inside a simulator that is where its tests are."""
    common = hashlib.sha256()
    for file in GROUPS[group].files():
        common.update((hook.ROOT / file).read_bytes())
    found: dict[str, str] = {}
    for pattern in GROUPS[group].tests:
        for place in sorted(hook.ROOT.glob(pattern)):
            for test in sorted(place.glob("test_*.py")) if place.is_dir() else [place]:
                digest = common.copy()
                digest.update(test.read_bytes())
                found[test.relative_to(hook.ROOT).as_posix()] = digest.hexdigest()[:16]
    if all(source in ELSEWHERE for source in sources):
        wanted = {name.split("::")[0] for source in sources for name in ELSEWHERE[source]}
        found = {file: mark for file, mark in found.items() if file in wanted}
    stored = _stored(path)
    return {file: mark for file, mark in found.items() if stored.get(file, {}).get("fingerprint") != mark}


def measure(group: str, tests: dict[str, str], path: Path, options: list[str]) -> int:
    """Run test files of a group with marks in its sources, and write what ran; return pytest's status.

    In a process that has not imported the package yet. ``tests``: files with their fingerprints."""
    files = GROUPS[group].files()
    recorder = _Recorder(hook.install_marks(files))
    status = pytest.main([*options, *tests], plugins=[recorder])
    stored = _stored(path)
    for test, mark in tests.items():
        stored[test] = {"fingerprint": mark, "tests": {}}
    for name in recorder.passed:
        hits: dict[str, list[int]] = {}
        for number, line in sorted(recorder.hits_of(name)):
            hits.setdefault(files[number], []).append(line)
        stored[name.split("::")[0]]["tests"][name] = {"seconds": round(recorder.seconds[name], 4), "hits": hits}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(stored))
    partial.rename(path)
    return int(status)


def _stored(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


class _Recorder:
    """A plugin of pytest. What a fixture runs counts for every test that uses it, what a test file runs when it is
    collected for every test in it."""

    def __init__(self, hits: Hits) -> None:
        self.now = hits
        self.own: dict[str, Hits] = {}
        self.fixtures: dict[Any, Hits] = {}
        self.used: dict[str, list[Any]] = {}
        self.collected: dict[str, Hits] = {}
        self.seconds: dict[str, float] = {}
        self.passed: list[str] = []
        self.failed: set[str] = set()

    def hits_of(self, name: str) -> Hits:
        """All that a test depends on."""
        found = self.own[name] | self.collected.get(name.split("::")[0], set())
        return found.union(*(self.fixtures.get(key, set()) for key in self.used[name]))

    def _take(self) -> Hits:
        taken = set(self.now)
        self.now.clear()
        return taken

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        self.now.clear()
        result = yield
        self.collected.setdefault(collector.nodeid.split("::")[0], set()).update(self._take())
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, Any, Any]:
        self.now.clear()
        start = time.perf_counter()
        self.used[item.nodeid] = []
        self.own[item.nodeid] = set()
        result = yield
        self.own[item.nodeid] |= self._take()
        self.seconds[item.nodeid] = time.perf_counter() - start
        definitions = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009
        self.used[item.nodeid] = [definition for found in definitions.values() for definition in found]
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, Any]:
        before = self._take()
        result = yield
        mine = self._take()
        self.fixtures.setdefault(fixturedef, set()).update(mine)
        self.now.update(before | mine)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.passed.append(report.nodeid)
        elif report.failed:
            self.failed.add(report.nodeid)
