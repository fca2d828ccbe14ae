"""A fold: how much of a stage works in parallel. The one place that parses folds, dumps them and prints them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ...quant.files.shapes import Integer, Table, Truth, check
from ...quant.files.texts import TextError, read_toml, shown
from ..errors import PlanError

__all__ = ["Fold", "dump_folds", "folds_line", "folds_toml", "parse_folds", "read_folds"]


@dataclass(frozen=True)
class Fold:
    """What a stage computes in one cycle: ``outputs`` x ``inputs`` channels x ``steps`` time steps, of each of
    ``pixels`` neighbouring pixels of a row; with ``skip``, window words that are all zero cost no cycle; with
    ``logic``, its weights are in LUTs, not in block RAM; with ``multiply`` its products come
    from multipliers of the device; with ``packed`` its weights are in fewer block RAMs, for LUTs and flip-flops."""

    outputs: int
    inputs: int
    steps: int
    skip: bool = False
    logic: bool = False
    pixels: int = 1
    multiply: bool = False
    packed: bool = False

    def __str__(self) -> str:
        return self.text()

    def text(self, times: str = " x ", comma: str = ", ", flags: Sequence[str] | None = None) -> str:
        """``8 x 3 x 1, skip, logic, 2 pixels``: outputs, inputs and time steps with ``times`` between them, and behind
        ``comma`` each of ``flags`` (all of them by default) that is set, and the pixels where they are several."""
        sizes = times.join(str(getattr(self, name)) for name in _FOLD.needed)
        more = [name for name in (_FLAGS if flags is None else flags) if getattr(self, name)]
        more += [f"{self.pixels} pixels"] if self.pixels > 1 else []
        return sizes + "".join(comma + name for name in more)


_FLAGS = [field.name for field in fields(Fold) if field.default is False]
_FOLD = Table(
    {field.name: Integer(1) for field in fields(Fold) if field.default is MISSING},
    {field.name: Truth() if field.default is False else Integer(1) for field in fields(Fold)
     if field.default is not MISSING},
    closed=True,
)  # fmt: skip


def read_folds(path: str | Path) -> dict[str, Fold]:
    """Read a fold file (TOML): a table for each stage with the integers outputs, inputs and steps; skip, logic,
    multiply and packed, true or false, and the integer pixels may be left out. Raises PlanError, naming file, stage and
    key."""
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
    """Folds by stage from tables of integers and flags, as :func:`dump_folds` makes them; flags may be left out. Raises
    PlanError, which begins with ``where``."""
    folds = {}
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            raise PlanError(f"{where}: {name} must be a table of {_keys()}, not {shown(table)}")
        check(table, _FOLD, f"{where}: {name}", PlanError)
        folds[name] = Fold(**table)
    return folds


def dump_folds(folds: Mapping[str, Fold]) -> dict[str, dict[str, Any]]:
    """Folds by stage in their JSON form: a table of all keys each."""
    return {name: asdict(fold) for name, fold in folds.items()}


def folds_toml(folds: Mapping[str, Fold]) -> str:
    """The text of a fold file, which :func:`read_folds` reads; what is as it is by default is left out."""
    lines, usual = [], {field.name: field.default for field in fields(Fold)}
    for name, table in dump_folds(folds).items():
        lines += [f'["{"".join(map(_escaped, name))}"]']
        lines += [f"{key} = {json.dumps(value)}" for key, value in table.items() if value != usual[key]]
    return "\n".join(lines) + "\n"


def folds_line(folds: Mapping[str, Fold]) -> str:
    """Folds in one line: ``conv1=8x3x1 skip; classes=1x4x1 logic``."""
    return "; ".join(f"{name}={fold.text('x', ' ')}" for name, fold in folds.items())


def _keys() -> str:
    flags = ", ".join(_FLAGS)
    return f"{', '.join(_FOLD.needed)} (integers), and perhaps {flags} (true or false) and pixels"


def _dotted(name: str, table: Any) -> str | None:
    """The name of a stage that TOML has taken apart at its dots, or None."""
    for key, part in table.items() if isinstance(table, dict) else ():
        if isinstance(part, dict):
            return _dotted(f"{name}.{key}", part) or f"{name}.{key}"
    return None


def _escaped(letter: str) -> str:
    """A letter in a key of TOML, whatever encoding the file is read in."""
    return letter if letter.isascii() and letter.isprintable() and letter not in '"\\' else f"\\U{ord(letter):08x}"
