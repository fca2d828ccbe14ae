"""Verilator's run-time library, compiled once for all designs that cocotb simulates.

Verilator's make file calls this file in place of the compiler (``OBJCACHE``). What it compiles of the library, which is
most of the time of a build, is kept in the cache of builds (``hdl.cache``); everything else goes to the
compiler.

    python object_cache.py CACHE c++ -O1 ... -c -o verilated_vpi.o .../include/verilated_vpi.cpp
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

__all__ = ["make_variable"]


def make_variable(cache: Path) -> str:
    """The setting for ``MAKEFLAGS`` that keeps compiled parts of the library in the folder ``cache``; empty where the
    user's own ``OBJCACHE`` does so."""
    if os.environ.get("OBJCACHE"):
        return ""
    command = shlex.join([sys.executable, "-S", str(Path(__file__).resolve()), str(cache.resolve())])
    # make reads the setting once as a part of MAKEFLAGS and expands it twice, there and in the rule.
    return "OBJCACHE=" + command.replace("\\", "\\\\").replace("$", "$$$$").replace(" ", "\\ ")


def compile_object(cache: Path, command: Sequence[str]) -> int:
    """Do what ``command`` does, from the cache where it can be; return the exit status."""
    source = Path(command[-1])
    if source.parent.name != "include" or not source.name.startswith("verilated") or "-o" not in command[:-1]:
        return subprocess.run(command, check=False).returncode
    target = Path(command[command.index("-o") + 1])
    version = subprocess.run([command[0], "--version"], capture_output=True, check=False).stdout
    digest = hashlib.sha256("\0".join(command).encode() + version)
    # The version of Verilator is a constant of this header.
    for file in (source, source.with_name("verilated_config.h")):
        digest.update(file.read_bytes())
    kept = cache / f"object-{digest.hexdigest()[:24]}" / target.name
    if kept.is_file():
        shutil.copyfile(kept, target)
        with contextlib.suppress(OSError):
            os.utime(kept.parent)  # see hdl.cache.prune
        return 0
    status = subprocess.run(command, check=False).returncode
    if status == 0:
        # The object is there; where another build was faster, or the folder cannot be written, it is not kept.
        with contextlib.suppress(OSError):
            _keep(target, kept.parent)
    return status


def _keep(target: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="building-", dir=folder.parent) as name:
        finished = Path(name) / "finished"
        finished.mkdir()
        shutil.copyfile(target, finished / target.name)
        finished.rename(folder)


if __name__ == "__main__":
    sys.exit(compile_object(Path(sys.argv[1]), sys.argv[2:]))
