"""Exact types for values that come from files: one description, one walk, and errors that name the place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .texts import near, shown

__all__ = ["Either", "Integer", "ListOf", "Number", "OneOf", "Table", "TableOf", "Text", "Truth", "Value", "check"]


@dataclass(frozen=True)
class Integer:
    """An integer from ``low`` to ``high``; true and false are none."""

    low: int = -(1 << 63)
    high: int = (1 << 63) - 1

    def __str__(self) -> str:
        if self.high < (1 << 63) - 1:
            return f"an integer in {self.low}..{self.high}"
        return "an integer" + (f" of {self.low} or more" if self.low >= 0 else "")


@dataclass(frozen=True)
class Number:
    """A finite number of ``low`` or more."""

    low: float = -math.inf

    def __str__(self) -> str:
        return "a finite number" + (f" of {self.low:g} or more" if self.low > -math.inf else "")


@dataclass(frozen=True)
class Text:
    """A string."""

    def __str__(self) -> str:
        return "a string"


@dataclass(frozen=True)
class Truth:
    """True or false."""

    def __str__(self) -> str:
        return "true or false"


@dataclass(frozen=True)
class OneOf:
    """One of some values, or strings."""

    values: tuple[Any, ...]

    def __str__(self) -> str:
        return " or ".join(map(repr, self.values))


@dataclass(frozen=True)
class ListOf:
    """A list of ``length`` ``item``s, or of any number of them."""

    item: Value
    length: int | None = None

    def __str__(self) -> str:
        return "a list" + (f" of {self.length}" if self.length is not None else "")


@dataclass(frozen=True)
class TableOf:
    """A table with any names, each of an ``item``."""

    item: Value

    def __str__(self) -> str:
        return "a table"


@dataclass(frozen=True)
class Table:
    """A table with all keys of ``needed`` and perhaps some of ``more``; where it is ``closed``, with no others."""

    needed: Mapping[str, Value] = field(default_factory=dict)
    more: Mapping[str, Value] = field(default_factory=dict)
    closed: bool = False

    def __str__(self) -> str:
        return "a table"


@dataclass(frozen=True, init=False)
class Either:
    """Any of several kinds of values."""

    kinds: tuple[Value, ...]

    def __init__(self, *kinds: Value) -> None:
        object.__setattr__(self, "kinds", kinds)

    def __str__(self) -> str:
        return " or ".join(map(str, self.kinds))


Value = Integer | Number | Text | Truth | OneOf | ListOf | TableOf | Table | Either


def check(value: Any, want: Value, where: str, error: type[ValueError], path: str = "") -> None:
    """Raise ``error`` where ``value`` is not what ``want`` says; the message begins with ``where`` and the place."""
    place = f"{where}: {path}" if path else where

    def inside(key: str | int) -> str:
        return f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}" if path else key

    if not _is(value, want):
        raise error(f"{place} must be {want}, not {shown(value)}")
    if isinstance(want, Either):
        check(value, next(kind for kind in want.kinds if _is(value, kind)), where, error, path)
    elif isinstance(want, ListOf):
        for k, item in enumerate(value):
            check(item, want.item, where, error, inside(k))
    elif isinstance(want, TableOf):
        for key, item in value.items():
            check(item, want.item, where, error, inside(key))
    elif isinstance(want, Table):
        known = {**want.needed, **want.more}
        if want.closed and (unknown := [key for key in value if key not in known]):
            keys = ", ".join(known)
            raise error(f"{place}: key {shown(unknown[0])} is unknown{near(unknown[0], known)}; known keys: {keys}")
        for key in want.needed:
            if key not in value:
                raise error(f"{place}: key {key!r} is missing; needed are {', '.join(want.needed)}")
        for key, item in value.items():
            if key in known:
                check(item, known[key], where, error, inside(key))


def _is(value: Any, want: Value) -> bool:
    match want:
        case Integer(low, high):
            return type(value) is int and low <= value <= high
        case Number(low):
            return type(value) in (int, float) and abs(value) < math.inf and value >= low and abs(value) < 1e300
        case Text():
            return type(value) is str
        case Truth():
            return type(value) is bool
        case OneOf(values):
            return any(type(value) is type(each) and value == each for each in values)
        case Either(kinds):
            return any(_is(value, kind) for kind in kinds)
        case ListOf(_, length):
            return isinstance(value, list | tuple) and length in (None, len(value))
    return isinstance(value, dict)
