"""One mutant in a process of its own: forked from one that has imported the libraries, ended at the first test that
fails, when its time is up or when it takes too much memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from . import hook

__all__ = ["Child", "base_options"]

MEMORY = 6 << 30
SURVIVED, KILLED = 0, 10


def base_options(folder: Path) -> list[str]:
    """Options of pytest that keep the working tree as it is."""
    options = ("-q", "-x", "-p", "no:cacheprovider", "--no-header", "--tb=line", "--assert=plain", "-m", "not slow")
    return [*options, f"--rootdir={hook.ROOT}", f"--basetemp={folder / 'pytest'}"]


@dataclass
class Child:
    """A running process. ``work`` is what it does there; it returns the status."""

    work: Callable[[Path], int]
    limit: float
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="mutant-")))
    start: float = field(default_factory=time.monotonic)
    pid: int = 0

    def begin(self) -> Child:
        """Fork."""
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid:
            return self
        status = 1
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            out = os.open(self.folder / "output.txt", os.O_WRONLY | os.O_CREAT, 0o600)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(out, 1)
            os.dup2(out, 2)
            os.chdir(hook.ROOT)
            sys.dont_write_bytecode = True
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
            os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(self.folder / "hypothesis")
            status = self.work(self.folder)
        except BaseException as error:  # a mutant may raise anything, and this process must not go on
            os.write(2, f"{type(error).__name__}: {error}\n".encode(errors="replace"))
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def ended(self) -> int | None:
        """The status once it has ended, negative for a signal, None before; what runs for too long is ended."""
        late = time.monotonic() - self.start > self.limit
        if late:
            self._kill()
        pid, status = os.waitpid(self.pid, 0 if late else os.WNOHANG)
        if not pid:
            return None
        self._kill()
        return os.waitstatus_to_exitcode(status)

    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.start

    def result(self) -> dict[str, Any]:
        """What it wrote."""
        path = self.folder / "result.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def output(self) -> str:
        """The end of what it printed."""
        path = self.folder / "output.txt"
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""

    def close(self) -> None:
        """End it where it runs, and remove its files."""
        self._kill()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _kill(self) -> None:
        """End it and what it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def run_mutant(file: str, index: int, tests: Sequence[str], seconds: dict[str, float], folder: Path) -> int:
    """Run ``tests`` in their order against a mutant, in a forked process."""
    hook.install(file, index)
    plugin = _Plugin(tests, seconds, folder)
    files = list(dict.fromkeys(name.split("::")[0] for name in tests))
    status = pytest.main([*base_options(folder), *files], plugins=[plugin])
    return SURVIVED if status == 0 else KILLED


class _Plugin:
    """Chooses and orders the tests, limits their time, and writes which one failed."""

    def __init__(self, tests: Sequence[str], seconds: dict[str, float], folder: Path) -> None:
        self.order = {name: k for k, name in enumerate(tests)}
        self.seconds = seconds
        self.path = folder / "result.json"
        self.path.write_text(json.dumps({"test": "at import"}))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((i for i in items if i.nodeid in self.order), key=lambda i: self.order[i.nodeid])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, Any, Any]:
        self.path.write_text(json.dumps({"test": item.nodeid}))
        # The signal ends the process, whatever it is in.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 60 + 10 * self.seconds[item.nodeid])
        result = yield
        signal.setitimer(signal.ITIMER_REAL, 0)
        return result
