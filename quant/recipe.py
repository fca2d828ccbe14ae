"""Recipes: everything a training needs to be repeated, in a small TOML file."""

from __future__ import annotations

import sys
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from .files.texts import TextError, near, read_toml, shown
from .methods.registry import (
    METHODS,
    Distill,
    DualPhaseRecipe,
    Epochs,
    FastSnnRecipe,
    IntegerNetRecipe,
    PtqRecipe,
    QcfsRecipe,
    Rates,
    Recipe,
    RecipeError,
    SpikingResnetRecipe,
    Start,
)

__all__ = [
    "Distill",
    "DualPhaseRecipe",
    "Epochs",
    "FastSnnRecipe",
    "IntegerNetRecipe",
    "PtqRecipe",
    "QcfsRecipe",
    "Rates",
    "Recipe",
    "RecipeError",
    "SpikingResnetRecipe",
    "Start",
    "filled",
    "read",
]


def read(path: str | Path) -> Recipe:
    """Read a recipe from a TOML file. Unknown keys are refused with the one that is meant and the list of the known."""
    try:
        entries = read_toml(Path(path))
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such file") from None
    except TextError as error:
        raise RecipeError(f"{path}: not a TOML file ({error})") from None
    return filled(str(path), entries)


def filled(where: str, entries: dict[str, Any]) -> Recipe:
    """The recipe of ``entries``, as in a file, or in ``meta`` of a network, where an older recipe lacks newer keys.

    Raises RecipeError, which begins with ``where``.
    """
    method = entries.get("method", QcfsRecipe.NAME)
    if not isinstance(method, str) or method not in METHODS:
        raise RecipeError(f"{where}: method must be {' or '.join(map(repr, METHODS))}, not {shown(method)}")
    return _fill(where, METHODS[method], entries)


def _fill(where: str, kind: type, entries: Any) -> Any:
    if not isinstance(entries, dict):
        raise RecipeError(f"{where}: must be a table, not {shown(entries)}")
    known = {f.name: f for f in fields(kind)}
    if unknown := set(entries) - set(known):
        key, names = min(unknown), ", ".join(known)
        if issubclass(kind, Recipe) and any(key == f.name for other in METHODS.values() for f in fields(other)):
            raise RecipeError(f"{where}: method {kind.NAME!r} has no key {key!r}; its keys: {names}")
        raise RecipeError(f"{where}: key {key!r} is unknown{near(key, known)}; known keys: {names}")
    needed = [n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING]
    if missing := [n for n in needed if n not in entries]:
        raise RecipeError(f"{where}: key {missing[0]!r} is missing")
    wanted = _types(kind)
    return kind(**{key: _value(where, key, wanted[key], value) for key, value in entries.items()})


def _types(kind: type) -> dict[str, Any]:
    # A field may be called "float", so names are looked up in the modules, not in the class.
    scope = {k: v for base in reversed(kind.__mro__) for k, v in vars(sys.modules[base.__module__]).items()}
    return get_type_hints(kind, scope, scope)


def _value(where: str, key: str, want: Any, value: Any) -> Any:
    if isinstance(want, UnionType):  # X | None
        if value is None:
            return None
        want = next(kind for kind in get_args(want) if kind is not type(None))
    if is_dataclass(want):
        assert isinstance(want, type)
        return _fill(f"{where}: [{key}]", want, value)
    good, name = _is(value, want)
    if not good:
        raise RecipeError(f"{where}: {key} must be {name}, not {shown(value)}")
    return value


_NAMES = {int: "an integer", bool: "true or false", str: "a string", dict: "a table"}
_LISTS = {int: "integers", float: "numbers", str: "strings"}


def _is(value: Any, want: Any) -> tuple[bool, str]:
    """Whether ``value`` is a ``want``, and what that is called."""
    if get_origin(want) is list:
        (item,) = get_args(want)
        return isinstance(value, list) and all(_is(v, item)[0] for v in value), f"a list of {_LISTS[item]}"
    if want is float:
        finite = type(value) in (int, float) and -1e300 < value < 1e300
        return finite, "a finite number"
    kind = get_origin(want) or want
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool)), _NAMES[kind]
