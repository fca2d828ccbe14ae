"""Results on disk: a file each, named by the key of its job, whole or not there at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

__all__ = ["Store", "StoreError", "canonical"]

STALE = 3_600.0
"""Seconds after which an unfinished file is what a kill left behind."""

LARGEST = 1 << 28
"""Bytes of a result; the largest, a front of thousands of designs, has a few millions."""

_NAME = re.compile(r"[0-9a-f]{64}\.json")


class StoreError(ValueError):
    """A result that cannot be kept: it is not JSON, or another one is there under its key."""


def canonical(value: Any) -> str:
    """The one JSON text of ``value``: keys sorted, no blanks, ASCII. Raises TypeError or ValueError for what is not
    JSON, NaN and infinity included."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


class Store:
    """Results by key in ``folder``, which several processes may share.

    A file holds the result with its hash and is written under another name, synchronised and then linked to its own,
    which fails where there is one: the first writer wins, and a result is never replaced.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob(".*.part"):
            try:
                if time.time() - path.stat().st_mtime > STALE:
                    path.unlink(missing_ok=True)
            except FileNotFoundError:  # its writer was faster
                pass

    def get(self, key: str) -> Any | None:
        """The result of ``key``; None where there is none, or one that is not what was written."""
        try:
            if self._path(key).stat().st_size > LARGEST:
                return None
            data = self._path(key).read_bytes()
            value = json.loads(data)["value"]
            return value if data == _whole(key, value) else None
        except (FileNotFoundError, IsADirectoryError, ValueError, TypeError, KeyError, RecursionError):
            return None

    def put(self, key: str, value: Any) -> Any:
        """Keep ``value`` and return it as JSON reads it back.

        Raises StoreError where it is None, not JSON or too large, or where another result is there.
        """
        if value is None:
            raise StoreError("there is no result: None stands for one that is missing")
        try:
            data = _whole(key, value)
        except (TypeError, ValueError, RecursionError) as error:
            raise StoreError(f"a result must be JSON: {error}") from None
        if len(data) > LARGEST:
            raise StoreError(f"a result has {len(data)} bytes, more than {LARGEST}")
        path, part = self._path(key), self.folder / f".{key}.{uuid4().hex}.part"
        try:
            with part.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            try:
                path.hardlink_to(part)
            except FileExistsError:
                found = self.get(key)
                if found is None:
                    part.replace(path)
                elif _whole(key, found) != data:
                    raise StoreError(f"{path}: there is another result: not the same twice") from None
        finally:
            part.unlink(missing_ok=True)
        return json.loads(data)["value"]

    def keys(self) -> list[str]:
        """The keys of the files there, in order; the files are not read."""
        return sorted(path.stem for path in self.folder.iterdir() if _NAME.fullmatch(path.name))

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def _whole(key: str, value: Any) -> bytes:
    """What the file of ``key`` holds: a change of any bit of it is seen."""
    text = canonical(value)
    digest = hashlib.sha256(f"{key}\n{text}".encode()).hexdigest()
    return f'{{"key":"{key}","sha256":"{digest}","value":{text}}}\n'.encode()
