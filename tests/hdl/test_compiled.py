"""The compiled cycle law where it cannot be built, loaded or used: then Python solves, with the same cycles.

That it says the same as Python is in the tests of streams, windows, residual blocks and random designs.
"""

from __future__ import annotations

import pwd
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import small

from spikeloom.gen.lowering import timing
from spikeloom.hdl.cache import cache_folder
from spikeloom.hdl.streams import compiled
from spikeloom.hdl.streams.law import FifoLaw, Link, SinkLaw, SourceLaw, solve


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The library is looked for again, before and after; all designs are large."""
    compiled.library.cache_clear()
    monkeypatch.setattr(timing, "LARGE", 0)
    yield monkeypatch
    compiled.library.cache_clear()


def missing(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """No compiler."""
    monkeypatch.setenv("PATH", str(cache))


def failing(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """A compiler that does not know an option."""
    monkeypatch.setenv("SPIKELOOM_CACHE", str(cache))
    monkeypatch.setattr(compiled, "FLAGS", (*compiled.FLAGS, "--no-such-option"))


def unwritable(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """A folder of builds that is a file."""
    (cache / "file").touch()
    monkeypatch.setenv("SPIKELOOM_CACHE", str(cache / "file"))


def homeless(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """A user whom no list of users has, with no home in the environment."""
    for name in ("SPIKELOOM_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)


@pytest.mark.parametrize("harm", [missing, failing, unwritable, homeless])
def test_without_the_library_python_solves(anew: pytest.MonkeyPatch, tmp_path: Path, harm) -> None:
    design = small.design()
    words = 2 * design.boundaries[0].words_per_frame
    fast = design.law(words)
    assert isinstance(fast.stages[design.stages[0].name].decided, np.ndarray)
    compiled.library.cache_clear()
    harm(anew, tmp_path)
    assert compiled.library() is None
    slow = design.law(words)
    assert isinstance(slow.stages[design.stages[0].name].decided, list)
    for name, cycles in fast.transfers.items():
        assert np.array_equal(cycles, slow.transfers[name]) and len(cycles)


def test_the_library_is_built_once(anew: pytest.MonkeyPatch, tmp_path: Path) -> None:
    anew.setenv("SPIKELOOM_CACHE", str(tmp_path))
    assert compiled.library() is not None and cache_folder() == tmp_path
    (built,) = tmp_path.glob("law-*/law.so")
    before = built.stat().st_mtime_ns
    compiled.library.cache_clear()
    assert compiled.library() is not None
    assert [p.name for p in tmp_path.iterdir()] == [built.parent.name] and built.stat().st_mtime_ns == before


def test_a_damaged_library_is_built_again(anew: pytest.MonkeyPatch, tmp_path: Path) -> None:
    anew.setenv("SPIKELOOM_CACHE", str(tmp_path))
    built = compiled._built()
    right = built.read_bytes()
    built.unlink()
    built.write_text("no library")
    assert compiled.library() is not None and built.read_bytes()[:4] == right[:4]


def test_a_cache_that_others_keep_is_read(anew: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its folder cannot be touched; what is built in it serves all the same."""

    def refused(*_: object) -> None:
        raise PermissionError("not the owner")

    anew.setenv("SPIKELOOM_CACHE", str(tmp_path))
    assert compiled.library() is not None
    compiled.library.cache_clear()
    anew.setattr(compiled.os, "utime", refused)
    assert compiled.library() is not None


class Own(FifoLaw):
    """A process that the compiled law does not know."""

    table = None  # type: ignore[assignment]


class Other(FifoLaw):
    """A process of a kind that the compiled law does not know."""

    def table(self) -> tuple[str, list[int]]:
        """A kind that there is not."""
        return "queue", [self.depth]


@pytest.mark.parametrize("kind", [Own, Other])
def test_a_process_that_is_not_known_is_left_to_python(kind: type[FifoLaw]) -> None:
    i, o = Link(), Link()
    processes = [SourceLaw(9, i), kind(2, i, o), SinkLaw(o)]
    assert not compiled.solved(processes) and i.taken == []
    solve(processes)
    assert i.taken == list(range(9)) and o.taken == list(range(1, 10))
