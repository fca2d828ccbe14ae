"""Files of settings, JSON and TOML, as plain values: whatever is wrong with a file comes out as one error."""

from __future__ import annotations

import difflib
import json
import reprlib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["LARGEST", "TextError", "near", "parse_json", "read_json", "read_toml", "shown"]

LARGEST = 64 << 20
"""Bytes of a file of settings; the largest that is written here has a few."""

DEEPEST = 100
"""Tables and lists within each other: more than any file needs, and fewer than Python's own recursion takes."""


class TextError(ValueError):
    """A file that is no JSON or TOML, and why; whoever asked for it adds the file and the remedy."""


def read_json(path: Path) -> Any:
    """The value in the JSON file ``path``. Raises TextError, and FileNotFoundError where there is none."""
    return parse_json(_text(path))


def read_toml(path: Path) -> dict[str, Any]:
    """The tables in the TOML file ``path``. Raises TextError, and FileNotFoundError where there is none."""
    try:
        found = tomllib.loads(_text(path))
    except RecursionError:
        raise TextError("its tables are too deep in each other") from None
    except ValueError as error:
        raise TextError(_line(error)) from None
    return _checked(found)


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises TextError; NaN, infinity and a key that is there twice are no JSON."""
    try:
        found = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    except RecursionError:
        raise TextError("its values are too deep in each other") from None
    except ValueError as error:
        raise TextError(_line(error)) from None
    return _checked(found)


def near(key: str, known: Iterable[str]) -> str:
    """What to add to a message about the unknown name ``key``: which of the ``known`` was meant, or nothing."""
    found = difflib.get_close_matches(key[:100], list(known), 1)
    return f" (is {found[0]!r} meant?)" if found else ""


def shown(value: Any) -> str:
    """``value`` for a message: its beginning, however large it is."""
    cut = reprlib.Repr()
    cut.maxstring = cut.maxother = cut.maxlong = 80
    cut.maxlevel = 3
    return cut.repr(value)


def _text(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise TextError(f"larger than {LARGEST >> 20} MiB")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise TextError(_line(error)) from None


def _line(error: ValueError) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:300]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise TextError(f"key {shown(next(key for key in keys if keys.count(key) > 1))} is there twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise TextError(f"{text} is no number")


def _checked(value: Any) -> Any:
    """``value``, unless it would take the recursion of whoever prints it later, or has texts that nobody can print."""
    level = [value]
    for _ in range(DEEPEST):
        for text in (part for part in level if isinstance(part, str)):
            if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
                raise TextError(f"{shown(text)} is no text, for half of a letter is missing")
        level = [part for held in level for part in _parts(held)]
        if not level:
            return value
    raise TextError(f"its values are more than {DEEPEST} deep in each other")


def _parts(value: Any) -> Iterable[Any]:
    return (*value, *value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ()
