"""What every recipe has, whatever its method: data, model, and how training images are drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

__all__ = ["Epochs", "Rates", "Recipe", "RecipeError", "Start"]


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
    """How to train a network: what every method needs. The methods' own are in ``quant.recipes``.

    Parameters: ``data``, see ``quant.data.load``; ``input_bits`` drops the lower bits of the pixels; ``model`` and
    ``model_args``, see ``quant.models``; ``method``; ``batch``; ``shift``, by how many pixels training images move at
    random; ``flip``, whether half of them are mirrored; ``bf16``, training in bfloat16 where that is safe; ``seed``.
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
    bf16: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.method:
            object.__setattr__(self, "method", self.NAME)
        self._check(
            ("method", self.method == self.NAME, repr(self.NAME)),
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

    @property
    @abstractmethod
    def network(self) -> str:
        """The name of the network that is wanted, of those that the phases give."""
