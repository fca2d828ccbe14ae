"""Recipes: everything a training needs to be repeated, in a small TOML file."""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

__all__ = ["Epochs", "Rates", "Recipe", "RecipeError", "read"]


class RecipeError(ValueError):
    """A recipe that cannot be followed; the message names the file, the key and what is known."""


@dataclass(frozen=True, kw_only=True)
class Epochs:
    """Epochs of the three phases: ``float`` (ReLU), ``qcfs``, ``integers`` (rounded weights and thresholds)."""

    float: int
    qcfs: int
    integers: int


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Learning rates at the start of the three phases; each falls to zero along half a cosine."""

    float: float = 1e-2
    qcfs: float = 3e-3
    integers: float = 1e-3


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train a network.

    Parameters: ``data``, see ``quant.data.load``; ``input_bits`` drops the lower bits of the pixels; ``model`` and
    ``model_args``, see ``quant.models``; ``method`` ("qcfs"); ``steps``, T; ``levels``, L, T if left out;
    ``weight_bits``, ``first_bits``, ``last_bits``; ``rule``, the neuron the last phase trains for; ``epochs``;
    ``rates``; ``batch``; ``weight_decay``; ``shift``, by how many pixels training images move at random; ``seed``.
    Raises RecipeError for values out of range.
    """

    data: str
    model: str
    epochs: Epochs
    steps: int
    weight_bits: int
    model_args: dict[str, Any] = field(default_factory=dict)
    method: str = "qcfs"
    levels: int = 0
    first_bits: int | None = None
    last_bits: int | None = None
    input_bits: int | None = None
    rule: str = "causal"
    rates: Rates = field(default_factory=Rates)
    batch: int = 64
    weight_decay: float = 5e-4
    shift: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.levels:
            object.__setattr__(self, "levels", self.steps)
        for key, good, rule in (
            ("method", self.method == "qcfs", "'qcfs'"),
            ("rule", self.rule in ("causal", "lossless"), "'causal' or 'lossless'"),
            ("steps", 1 <= self.steps <= 64, "in 1..64"),
            ("levels", 1 <= self.levels <= 64, "in 1..64"),
            ("weight_bits", 2 <= self.weight_bits <= 8, "in 2..8"),
            ("batch", self.batch >= 2, "at least 2 (batch norm needs two)"),
            ("shift", self.shift >= 0, "0 or more pixels"),
            ("epochs", min(asdict(self.epochs).values()) >= 0, "0 or more in each phase"),
        ):
            if not good:
                raise RecipeError(f"Recipe: {key} must be {rule}, not {getattr(self, key)!r}")


def read(path: str | Path) -> Recipe:
    """Read a recipe from a TOML file. Unknown keys are refused with the list of the known ones."""
    try:
        entries = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not a TOML file ({error})") from None
    for key, kind in (("epochs", Epochs), ("rates", Rates)):
        if key in entries:
            entries[key] = _fill(f"{path}: [{key}]", kind, entries[key])
    return _fill(str(path), Recipe, entries)


def _fill(where: str, kind: type, entries: Any) -> Any:
    if not isinstance(entries, dict):
        raise RecipeError(f"{where}: must be a table, not {entries!r}")
    known = {f.name: f for f in fields(kind)}
    if unknown := set(entries) - set(known):
        raise RecipeError(f"{where}: key {min(unknown)!r} is unknown; known keys: {', '.join(known)}")
    needed = [n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING]
    if missing := [n for n in needed if n not in entries]:
        raise RecipeError(f"{where}: key {missing[0]!r} is missing")
    for key, value in entries.items():
        want = str(known[key].type)
        if want in ("int", "int | None", "float") and (
            isinstance(value, bool) or not isinstance(value, int | float if want == "float" else int)
        ):
            kinds = "a number" if want == "float" else "an integer"
            raise RecipeError(f"{where}: {key} must be {kinds}, not {value!r}")
        if want in ("str", "dict[str, Any]") and not isinstance(value, str if want == "str" else dict):
            raise RecipeError(f"{where}: {key} must be {'a string' if want == 'str' else 'a table'}, not {value!r}")
    return kind(**entries)
