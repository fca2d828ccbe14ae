"""The cycle law of large designs, compiled: the same events as :func:`~.law.solve` finds, some hundred times as fast.

The law classes beside the cores say what they do in a :data:`~.law.Table`; ``law.cpp`` does it. The library is built
with g++ on first use and kept in the folder of builds (``hdl.cache``) under the hash of its source and of the compiler.
Where there is no compiler, and for a process without a table, the classes solve the law themselves.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..cache import cache_folder, prune
from .law import Link, Process

__all__ = ["library", "solved"]

SOURCES = [Path(__file__).with_name(name) for name in ("law.cpp", "law_window.h")]
FLAGS = ("-std=c++17", "-O2", "-shared", "-fPIC")
_INTS, _BOOLS = ctypes.POINTER(ctypes.c_int64), ctypes.POINTER(ctypes.c_bool)
_LAW, _INT = ctypes.c_void_p, ctypes.c_int64
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "law_new": (_LAW, []),
    "law_delete": (None, [_LAW]),
    "law_link": (None, [_LAW, _BOOLS, _INT, _BOOLS, _INT]),
    "law_process": (ctypes.c_int, [_LAW, ctypes.c_char_p, _INTS, _INTS, _INT, _INTS, _INT]),
    "law_solve": (None, [_LAW]),
    "law_taken": (_INT, [_LAW, _INT, ctypes.POINTER(_INTS)]),
    "law_events": (_INT, [_LAW, _INT, _INT, ctypes.POINTER(_INTS)]),
}
"""What ``law.cpp`` has: result and arguments."""

_log = logging.getLogger(__name__)


@cache
def library() -> ctypes.CDLL | None:
    """The compiled law, or None where it cannot be built or loaded; the log says why."""
    try:
        found = _loaded()
    except (OSError, subprocess.SubprocessError) as error:
        _log.debug("the cycle law is solved in Python: %s", error)
        return None
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    return found


def _loaded() -> ctypes.CDLL:
    """The library, built again where the file there is damaged. Raises OSError or SubprocessError as :func:`_built`."""
    path = _built()
    try:
        return ctypes.CDLL(str(path))
    except OSError:
        shutil.rmtree(path.parent)
        return ctypes.CDLL(str(_built()))


def _built() -> Path:
    """The library, built where it is not there. Raises OSError or SubprocessError where it cannot be."""
    compiler = shutil.which("g++")
    if compiler is None:
        raise FileNotFoundError("g++ is not on the PATH")
    version = subprocess.run([compiler, "--version"], capture_output=True, check=True).stdout
    digest = hashlib.sha256(repr((FLAGS, platform.platform(), version)).encode())
    for source in SOURCES:
        digest.update(source.read_bytes())
    folder = cache_folder()
    path = folder / f"law-{digest.hexdigest()[:24]}" / "law.so"
    if path.is_file():
        with suppress(OSError):  # a cache that others keep
            os.utime(path.parent)
        return path
    folder.mkdir(parents=True, exist_ok=True)
    prune(folder)
    with tempfile.TemporaryDirectory(prefix="building-", dir=folder) as name:
        finished = Path(name) / "finished"
        finished.mkdir()
        command = [compiler, *FLAGS, "-o", str(finished / "law.so"), str(SOURCES[0])]
        subprocess.run(command, capture_output=True, check=True)
        try:
            finished.rename(path.parent)
        except OSError:  # another process has put the same there
            if not path.is_file():
                raise
    return path


def solved(processes: Sequence[Process]) -> bool:
    """Whether the compiled law computed all events of ``processes``, as :func:`~.law.solve` would have done: ``taken``
    of the links, and what windows decided, are then arrays, int64 (n,). False, and nothing done, where it cannot."""
    tables = [getattr(process, "table", None) for process in processes]
    if not all(tables) or (code := library()) is None:
        return False
    links = list({id(link): link for process in processes for link in (*process.ins, *process.outs)}.values())
    numbers = {id(link): k for k, link in enumerate(links)}
    law = code.law_new()
    try:
        for link in links:
            code.law_link(law, *_gates(link))
        for process, table in zip(processes, tables, strict=True):
            assert table is not None
            kind, values = table()
            ins, outs = ([numbers[id(link)] for link in side] for side in (process.ins, process.outs))
            if code.law_process(law, kind.encode(), _array(values)[0], *_array(ins), *_array(outs)):
                return False
        code.law_solve(law)
        for k, link in enumerate(links):
            link.taken = _read(code.law_taken, law, k)
        for k, process in enumerate(processes):
            if tell := getattr(process, "tell", None):
                skips = len(process.ins) - 1
                tell([_read(code.law_events, law, k, which) for which in range(2 + skips)])
    finally:
        code.law_delete(law)
    return True


def _gates(link: Link) -> Iterator[Any]:
    """The arguments of ``law_link`` that are the pauses of ``link``, which keeps them."""
    for gate in link.gates:
        pauses = np.zeros(0, bool) if gate is None else gate.pauses
        yield from (pauses.ctypes.data_as(_BOOLS), len(pauses))


def _array(numbers: Sequence[int] | np.ndarray) -> tuple[Any, int]:
    """``numbers`` as a pointer, which keeps them, and how many there are."""
    values = np.ascontiguousarray(numbers, np.int64)
    return values.ctypes.data_as(_INTS), len(values)


def _read(function: Any, *of: Any) -> Any:
    """The events that ``function`` points at, int64 (n,), copied."""
    start = _INTS()
    count = function(*of, ctypes.byref(start))
    return np.ctypeslib.as_array(start, (count,)).copy() if count else np.zeros(0, np.int64)
