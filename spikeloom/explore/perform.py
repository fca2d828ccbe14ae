"""What a worker does with a job: call a function by name, hand back its result or its exception."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import socket
import sys
import traceback
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .store import canonical

__all__ = ["Failure", "JobError", "fingerprint", "perform"]

PACKAGES = ("spikeloom.hdl", "spikeloom.gen", "spikeloom.quant", "spikeloom.explore")
"""What results depend on."""


class JobError(RuntimeError):
    """A job failed, its worker died again and again, or there is nobody to do it. What was finished is in the store."""


@cache
def fingerprint() -> str:
    """Hash of the sources of :data:`PACKAGES` and of Python's minor version: other code gives other keys."""
    digest = hashlib.sha256(f"{sys.version_info.major}.{sys.version_info.minor}".encode())
    for package in PACKAGES:
        spec = find_spec(package)
        assert spec is not None and spec.submodule_search_locations is not None
        folder = Path(spec.submodule_search_locations[0])
        for path in sorted(path for path in folder.rglob("*") if path.suffix in {".py", ".v"}):
            data = path.read_bytes()
            digest.update(f"\0{package}/{path.relative_to(folder).as_posix()}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


@dataclass(frozen=True)
class Failure:
    """What :func:`perform` gives back where the job raised ``error``."""

    error: Exception


def perform(work: str, arguments: str, code: str) -> Any | Failure:
    """Call ``work`` ("module:function") with ``arguments``, a JSON object: the result as JSON reads it, or a Failure.

    ``code`` is the :func:`fingerprint` of who asks: a worker with another one refuses.
    """
    try:
        if fingerprint() != code:
            raise JobError(f"process {os.getpid()} on {socket.gethostname()} has another version of spikeloom")
        module, _, name = work.partition(":")
        value = getattr(import_module(module), name)(**json.loads(arguments))
        if value is None:
            raise JobError("the result is None, which stands for a missing one")
        return json.loads(canonical(value))
    except (Exception, SystemExit) as error:
        return Failure(_portable(error))


def _portable(error: Exception | SystemExit) -> Exception:
    """``error`` with its traceback as a note, or what can be sent of it: some exceptions cannot be unpickled."""
    text = "".join(traceback.format_exception(error))
    if isinstance(error, Exception):
        error.add_note(text)
        try:
            pickle.loads(pickle.dumps(error))
            return error
        except Exception:  # whatever its own code raises
            pass
    sent = JobError(f"{type(error).__name__}: {error}")
    sent.add_note(text)
    return sent
