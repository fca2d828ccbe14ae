"""Recipes: everything a training needs to be repeated, in a small TOML file."""

from __future__ import annotations

import tomllib
from abc import ABC, abstractmethod
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

__all__ = ["Epochs", "IntegerNetRecipe", "QcfsRecipe", "Rates", "Recipe", "RecipeError", "Start", "read"]


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
class Start:
    """Trained weights to start from: ``file``, see ``quant.models.load_weights``, and ``mean`` and ``std`` of the
    images they were trained on, one value a channel (none: images 0..1 as they are)."""

    file: str
    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """How to train a network: what every method needs. See :class:`QcfsRecipe` and :class:`IntegerNetRecipe`.

    Parameters: ``data``, see ``quant.data.load``; ``input_bits`` drops the lower bits of the pixels; ``model`` and
    ``model_args``, see ``quant.models``; ``method``; ``batch``; ``shift``, by how many pixels training images move at
    random; ``flip``, whether half of them are mirrored; ``bf16``, training in bfloat16 where that is safe; ``seed``.
    Raises RecipeError for values out of range.
    """

    data: str
    model: str
    model_args: dict[str, Any] = field(default_factory=dict)
    method: str = ""
    input_bits: int | None = None
    batch: int = 64
    shift: int = 0
    flip: bool = False
    bf16: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        self._check(
            ("method", METHODS.get(self.method) is type(self), " or ".join(map(repr, METHODS))),
            ("batch", self.batch >= 2, "at least 2 (batch norm needs two)"),
            ("shift", self.shift >= 0, "0 or more pixels"),
        )

    def _check(self, *rules: tuple[str, bool, str]) -> None:
        for key, good, rule in rules:
            if not good:
                raise RecipeError(f"Recipe: {key} must be {rule}, not {getattr(self, key)!r}")

    @property
    @abstractmethod
    def kind(self) -> str:
        """What flows in the network, in two words."""


@dataclass(frozen=True, kw_only=True)
class QcfsRecipe(Recipe):
    """How to train a spiking network with QCFS activations, in three phases.

    Further parameters: ``epochs``; ``rates``; ``steps``, T; ``levels``, L, T if left out; ``weight_bits``,
    ``first_bits``, ``last_bits``, ``shortcut_bits``; ``rule``, the neuron the last phase trains for; ``start``,
    trained weights; ``quantile``, of the activations, that the first thresholds are; ``rounded``, whether weights are
    rounded to their bits in the second phase already; ``optimiser``, "adamw" or "sgd"; ``warm_up``, the share of a
    phase in which the rate rises before it falls; ``weight_decay``.
    """

    method: str = "qcfs"
    epochs: Epochs
    steps: int
    weight_bits: int
    levels: int = 0
    first_bits: int | None = None
    last_bits: int | None = None
    shortcut_bits: int = 8
    rule: str = "causal"
    start: Start | None = None
    quantile: float = 0.999
    rounded: bool = False
    optimiser: str = "adamw"
    rates: Rates = field(default_factory=Rates)
    warm_up: float = 0.0
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.levels:
            object.__setattr__(self, "levels", self.steps)
        self._check(
            ("rule", self.rule in ("causal", "lossless"), "'causal' or 'lossless'"),
            ("steps", 1 <= self.steps <= 64, "in 1..64"),
            ("levels", 1 <= self.levels <= 64, "in 1..64"),
            ("weight_bits", 2 <= self.weight_bits <= 8, "in 2..8"),
            ("epochs", min(asdict(self.epochs).values()) >= 0, "0 or more in each phase"),
            ("quantile", 0 < self.quantile <= 1, "above 0 and at most 1"),
            ("optimiser", self.optimiser in ("adamw", "sgd"), "'adamw' or 'sgd'"),
            ("warm_up", 0 <= self.warm_up < 1, "at least 0 and below 1"),
        )

    @property
    def kind(self) -> str:
        """The neurons."""
        return f"{self.rule} neurons"


@dataclass(frozen=True, kw_only=True)
class IntegerNetRecipe(Recipe):
    """How to train a network of integers, in one phase: its weights are rounded from the first batch on.

    Further parameters: ``bits`` of all weights and activations; ``epochs``; ``rate`` and ``last_rate``, the learning
    rate of Adam at the start and at the end; it falls exponentially, batch by batch.
    """

    method: str = "integernet"
    bits: int
    epochs: int
    rate: float = 0.1
    last_rate: float = 0.001

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(
            ("bits", 2 <= self.bits <= 8, "in 2..8"),
            ("epochs", self.epochs >= 1, "1 or more"),
            ("rate", self.rate > 0, "positive"),
            ("last_rate", 0 < self.last_rate <= self.rate, "positive and at most rate"),
        )

    @property
    def kind(self) -> str:
        """The width of the values."""
        return f"{self.bits}-bit values"


METHODS: dict[str, type[Recipe]] = {"qcfs": QcfsRecipe, "integernet": IntegerNetRecipe}
TABLES: dict[str, type] = {"Epochs": Epochs, "Rates": Rates, "Start | None": Start}


def read(path: str | Path) -> Recipe:
    """Read a recipe from a TOML file. Unknown keys are refused with the list of the known ones."""
    try:
        entries = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not a TOML file ({error})") from None
    method = entries.get("method", "qcfs")
    if not isinstance(method, str) or method not in METHODS:
        raise RecipeError(f"{path}: method must be {' or '.join(map(repr, METHODS))}, not {method!r}")
    return _fill(str(path), METHODS[method], entries)


def _fill(where: str, kind: type, entries: Any) -> Any:
    if not isinstance(entries, dict):
        raise RecipeError(f"{where}: must be a table, not {entries!r}")
    known = {f.name: f for f in fields(kind)}
    if unknown := set(entries) - set(known):
        key, names = min(unknown), ", ".join(known)
        if "method" in known and any(key == f.name for other in METHODS.values() for f in fields(other)):
            raise RecipeError(f"{where}: method {known['method'].default!r} has no key {key!r}; its keys: {names}")
        raise RecipeError(f"{where}: key {key!r} is unknown; known keys: {names}")
    needed = [n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING]
    if missing := [n for n in needed if n not in entries]:
        raise RecipeError(f"{where}: key {missing[0]!r} is missing")
    for key, value in entries.items():
        want = str(known[key].type)
        if want in TABLES:
            entries[key] = _fill(f"{where}: [{key}]", TABLES[want], value)
        if want in ("int", "int | None", "float") and (
            isinstance(value, bool) or not isinstance(value, int | float if want == "float" else int)
        ):
            kinds = "a number" if want == "float" else "an integer"
            raise RecipeError(f"{where}: {key} must be {kinds}, not {value!r}")
        if want == "bool" and not isinstance(value, bool):
            raise RecipeError(f"{where}: {key} must be true or false, not {value!r}")
        if want == "list[float]" and not (isinstance(value, list) and all(type(v) in (int, float) for v in value)):
            raise RecipeError(f"{where}: {key} must be a list of numbers, not {value!r}")
        if want in ("str", "dict[str, Any]") and not isinstance(value, str if want == "str" else dict):
            raise RecipeError(f"{where}: {key} must be {'a string' if want == 'str' else 'a table'}, not {value!r}")
    return kind(**entries)
