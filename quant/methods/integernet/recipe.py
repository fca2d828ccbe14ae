"""The recipe of IntegerNet; see ``quant.methods.integernet.run`` for what follows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..base import Recipe, Start

__all__ = ["IntegerNetRecipe"]


@dataclass(frozen=True, kw_only=True)
class IntegerNetRecipe(Recipe):
    """How to train a network of integers, in one phase: its weights are rounded from the first batch on.

    Further parameters: ``bits`` of all weights and activations; ``epochs``; ``rate`` and ``last_rate``, the learning
    rate of Adam at the start and at the end; it falls exponentially, batch by batch; ``beta``, whether the norms have a
    learned offset (not in the paper); ``start``, trained weights of ``model`` to start from, and to be taught by where
    ``distill`` names no other ones (random ones without), and ``images`` of the training split that scales are measured
    on then.
    """

    NAME: ClassVar[str] = "integernet"

    bits: int
    epochs: int
    rate: float = 0.1
    last_rate: float = 0.001
    beta: bool = False
    start: Start | None = None
    images: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(
            ("bits", 2 <= self.bits <= 8, "in 2..8"),
            ("epochs", self.epochs >= 1, "1 or more"),
            ("rate", self.rate > 0, "positive"),
            ("distill", self.distill is None or bool(self.distill.model or self.start),
             "with a model, for there is no float phase"),
            ("images", self.images >= 2, "2 or more"),
            ("last_rate", 0 < self.last_rate <= self.rate, "positive and at most rate"),
        )

    @property
    def kind(self) -> str:
        """The width of the values."""
        return f"{self.bits}-bit values"

    @property
    def network(self) -> str:
        """The only one."""
        return "integers"
