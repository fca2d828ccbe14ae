"""What every recipe has, whatever its method: data, model, and how training images are drawn."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, ClassVar

from ..files.texts import shown

__all__ = ["Distill", "Epochs", "Rates", "Recipe", "RecipeError", "Start"]


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
class Distill:
    """A teacher beside the labels, see ``quant.training.losses``: ``weight`` of what it says, 0..1, and
    ``temperature``.

    The teacher is the method's own float model, or, where ``model`` is given, that one with ``model_args`` and the
    trained weights of ``start``.
    """

    weight: float = 0.5
    temperature: float = 4.0
    model: str = ""
    model_args: dict[str, Any] = field(default_factory=dict)
    start: Start | None = None


def _numbers(value: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """All numbers in a recipe by their keys: ``rates.float``; arguments of models are the models' own."""
    if is_dataclass(value):
        for part in fields(value):
            if part.name != "model_args":
                yield from _numbers(getattr(value, part.name), f"{key}.{part.name}" if key else part.name)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item, key)
    elif type(value) in (int, float):
        yield key, value


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """How to train a network: what every method needs. The methods' own are in ``quant.methods.registry``.

    Parameters: ``data``, see ``quant.data.load``; ``input_bits`` drops the lower bits of the pixels; ``model`` and
    ``model_args``, see ``quant.models``; ``method``; ``batch``; ``shift``, by how many pixels training images move at
    random, each on its own; ``flip``, whether half of them are mirrored; ``erase``, the side of a square of pixels that
    they lose at random, see ``quant.training.augment``, 0 for none; ``label_smoothing``, see ``quant.training.losses``;
    ``distill``, a teacher; ``average``, the decay of a running average of the weights that a phase ends with, 0 for
    none; ``held_out``, so many of the last training images are tested on, and not trained on, in place of the test
    images; ``bf16``, training in bfloat16 where that is safe; ``compiled``, floats
    trained through torch.compile, which takes a minute and then two thirds of the time; ``seed``.
    Raises RecipeError for values out of range.
    """

    NAME: ClassVar[str]
    """The method's name, the value of ``method``."""

    data: str
    model: str
    model_args: dict[str, Any] = field(default_factory=dict)
    method: str = ""
    input_bits: int | None = None
    batch: int = 64
    shift: int = 0
    flip: bool = False
    erase: int = 0
    label_smoothing: float = 0.0
    distill: Distill | None = None
    average: float = 0.0
    held_out: int = 0
    bf16: bool = False
    compiled: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.method:
            object.__setattr__(self, "method", self.NAME)
        self._check(
            ("method", self.method == self.NAME, repr(self.NAME)),
            ("batch", self.batch >= 2, "at least 2 (batch norm needs two)"),
            ("shift", self.shift >= 0, "0 or more pixels"),
            ("erase", self.erase >= 0, "0 or more pixels"),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "at least 0 and below 1"),
            ("distill", self.distill is None or 0 < self.distill.weight <= 1, "of a weight above 0 and at most 1"),
            ("distill", self.distill is None or self.distill.temperature > 0, "of a positive temperature"),
            ("distill", self.distill is None or bool(self.distill.model) == bool(self.distill.start),
             "with both model and start, or neither"),
            ("average", 0 <= self.average < 1, "at least 0 and below 1"),
            ("held_out", self.held_out >= 0, "0 or more images"),
        )
        for key, value in _numbers(self):
            self._check_number(key, value)

    def _check_number(self, key: str, value: float) -> None:
        """What holds for every number of a recipe, in tables and lists too: it is checked before hours of training."""
        name = key.rpartition(".")[2]
        rules = [("finite", math.isfinite(value)), ("below 2^31", abs(value) < (1 << 63 if key == "seed" else 1 << 31))]
        if "rate" in key.partition(".")[0] or name in ("rate", "weight_decay"):
            rules.append(("0 or more", value >= 0))
        if name in ("first_bits", "last_bits", "shortcut_bits"):
            rules.append(("in 2..8", 2 <= value <= 8))
        if "." in key and name in ("batch", "epochs", "images", "patience"):
            rules.append(("0 or more" if name == "epochs" else "1 or more", value >= (name != "epochs")))
        for rule, good in rules:
            if not good:
                raise RecipeError(f"Recipe: {key} must be {rule}, not {shown(value)}")

    def _check(self, *rules: tuple[str, bool, str]) -> None:
        for key, good, rule in rules:
            if not good:
                raise RecipeError(f"Recipe: {key} must be {rule}, not {getattr(self, key)!r}")

    @property
    @abstractmethod
    def kind(self) -> str:
        """What flows in the network, in two words."""

    @property
    @abstractmethod
    def network(self) -> str:
        """The name of the network that is wanted, of those that the phases give."""
