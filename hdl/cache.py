"""The folder in which what is built is kept, under the hash of what went into it: simulators, netlists, the law."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

__all__ = ["UNUSED_DAYS", "cache_folder", "prune"]

UNUSED_DAYS = 30
"""What nobody used for so long is removed."""


def cache_folder() -> Path:
    """``SPIKELOOM_CACHE``, or ``spikeloom`` in the user's folder of caches: one for all designs of a user, so that a
    design that is generated again, into whatever folder, is not built again. Raises FileNotFoundError for a user who
    has no home, as in some containers, and names no folder."""
    if found := os.environ.get("SPIKELOOM_CACHE"):
        return Path(found)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "spikeloom"
    except RuntimeError:
        raise FileNotFoundError("this user has no home folder for what is built; set SPIKELOOM_CACHE") from None


def prune(cache: Path, days: float = UNUSED_DAYS) -> None:
    """Remove the entries of ``cache`` that were not used for ``days``: whoever uses one touches it."""
    oldest = time.time() - 86400 * days
    for entry in cache.iterdir():
        if entry.is_dir() and entry.stat().st_mtime < oldest:
            shutil.rmtree(entry, ignore_errors=True)
