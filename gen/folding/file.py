"""Fold files (TOML): a table for each stage, with its fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from ...quant.files.shapes import Integer, Table, Truth, check
from ...quant.files.texts import TextError, read_toml, shown
from ..lowering.layers import PlanError
from ..lowering.plan import Fold

__all__ = ["parse_folds", "read_folds"]

_FOLD = Table(
    {field.name: Integer(1) for field in fields(Fold) if field.default is MISSING},
    {field.name: Truth() for field in fields(Fold) if field.default is not MISSING},
    closed=True,
)


def read_folds(path: str | Path) -> dict[str, Fold]:
    """Read a fold file: a table for each stage with the integers outputs, inputs and steps; skip and logic, true or
    false, may be left out. Raises PlanError, naming file, stage and key."""
    try:
        tables = read_toml(Path(path))
    except FileNotFoundError:
        raise PlanError(f"{path}: no such file; 'auto' in its place chooses all folds") from None
    except (OSError, TextError) as error:
        hint = '; a name with other signs than letters, digits, - and _ needs quotes: ["a b"]'
        raise PlanError(f"{path}: not a readable fold file ({error}){hint if 'table' in str(error) else ''}") from None
    for name, table in tables.items():
        if (dotted := _dotted(name, table)) is not None:
            raise PlanError(
                f'{path}: [{dotted}] must be written ["{dotted}"], for without the quotes a dot begins a table inside '
                "another one in TOML"
            )
    return parse_folds(tables, str(path))


def parse_folds(tables: Mapping[str, Any], where: str) -> dict[str, Fold]:
    """Folds from tables of integers and flags. Raises PlanError, which begins with ``where``."""
    folds = {}
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            raise PlanError(f"{where}: {name} must be a table of {_keys()}, not {shown(table)}")
        check(table, _FOLD, f"{where}: {name}", PlanError)
        folds[name] = Fold(**table)
    return folds


def _keys() -> str:
    return f"{', '.join(_FOLD.needed)} (integers), and perhaps {' and '.join(_FOLD.more)} (true or false)"


def _dotted(name: str, table: Any) -> str | None:
    """The name of a stage that TOML has taken apart at its dots, or None."""
    for key, part in table.items() if isinstance(table, dict) else ():
        if isinstance(part, dict):
            return _dotted(f"{name}.{key}", part) or f"{name}.{key}"
    return None
