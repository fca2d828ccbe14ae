"""What stands in for the compiler: the library is compiled once, everything else each time, and errors are errors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spikeloom.sim.simulators import object_cache


@pytest.fixture
def include(tmp_path: Path) -> Path:
    folder = tmp_path / "include"
    folder.mkdir()
    (folder / "verilated_config.h").write_text("#define VERSION 1\n")
    (folder / "verilated_one.cpp").write_text('#include "verilated_config.h"\nint one() { return VERSION; }\n')
    (tmp_path / "design.cpp").write_text("int design() { return 2; }\n")
    return folder


def compiled(source: Path, level: str = "-O1") -> tuple[int, list[Path]]:
    """Compile, with a compiler that leaves a line in ``calls`` each time; the exit status and what is kept."""
    folder = source.parent.parent if source.parent.name == "include" else source.parent
    compiler = folder / "c++"
    compiler.write_text(f'#!/bin/sh\n[ "$1" = --version ] || echo call >> {folder}/calls\nexec g++ "$@"\n')
    compiler.chmod(0o755)
    target = folder / f"{source.stem}.o"
    target.unlink(missing_ok=True)
    command = [str(compiler), level, "-c", "-o", str(target), str(source)]
    status = object_cache.compile_object(cache := folder / "cache", command)
    assert target.is_file() == (status == 0)
    return status, sorted(cache.glob("*/*"))


def calls(folder: Path) -> int:
    return len((folder / "calls").read_text().splitlines())


def test_the_library_is_compiled_once(include: Path, tmp_path: Path, cache: Path) -> None:
    source = include / "verilated_one.cpp"
    status, kept = compiled(source)
    assert status == 0 and [path.name for path in kept] == ["verilated_one.o"] and calls(tmp_path) == 1
    os.utime(kept[0].parent, (0, 0))
    assert compiled(source) == (0, kept) and calls(tmp_path) == 1
    assert (tmp_path / "verilated_one.o").read_bytes() == kept[0].read_bytes()
    assert kept[0].parent.stat().st_mtime > 0, "in use, so it is not removed"
    assert len(compiled(source, "-O0")[1]) == 2 and calls(tmp_path) == 2
    (include / "verilated_config.h").write_text("#define VERSION 3\n")
    assert len(compiled(source)[1]) == 3 and calls(tmp_path) == 3


def test_it_is_a_program_that_stands_before_the_compiler(include: Path, tmp_path: Path) -> None:
    """As ``make`` starts it, in folders that are not there yet."""
    source, cache, target = include / "verilated_one.cpp", tmp_path / "new" / "cache", tmp_path / "one.o"
    command = [sys.executable, "-S", object_cache.__file__, str(cache), "g++", "-c", "-o", str(target), str(source)]
    assert subprocess.run(command, check=False).returncode == 0
    assert target.is_file() and [path.name for path in cache.glob("*/*")] == ["one.o"]
    source.write_text("no program")
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_everything_else_is_compiled_each_time(tmp_path: Path, include: Path, cache: Path) -> None:
    for times in (1, 2):
        assert compiled(tmp_path / "design.cpp") == (0, []) and calls(tmp_path) == times


def test_an_error_is_the_compilers_and_nothing_is_kept(include: Path, tmp_path: Path, cache: Path) -> None:
    (include / "verilated_one.cpp").write_text("int one( {}\n")
    for times in (1, 2):
        status, kept = compiled(include / "verilated_one.cpp")
        assert status == 1 and not kept and calls(tmp_path) == times


def test_a_folder_that_cannot_be_written_costs_time_only(include: Path, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    for times in (1, 2):
        assert compiled(include / "verilated_one.cpp") == (0, []) and calls(tmp_path) == times


def test_the_users_own_cache_of_objects_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("OBJCACHE", raising=False)
    assert object_cache.make_variable(tmp_path).startswith("OBJCACHE=")
    monkeypatch.setenv("OBJCACHE", "ccache")
    assert object_cache.make_variable(tmp_path) == ""


def test_make_calls_it_whatever_the_folder_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OBJCACHE", raising=False)
    folder = tmp_path / "it's a $cache \\ of $(OBJECTS)"
    (tmp_path / "show.py").write_text("import sys; print(sys.argv[1:])\n")
    (tmp_path / "Makefile").write_text("OBJCACHE ?= nothing\nall:\n\t@$(OBJCACHE) c++ -c\n")
    monkeypatch.setattr(object_cache, "__file__", str(tmp_path / "show.py"))
    monkeypatch.setenv("MAKEFLAGS", object_cache.make_variable(folder))
    shown = subprocess.run(["make", "-s", "-C", tmp_path], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == str([str(folder), "c++", "-c"])
