"""The recipe of Spiking ResNet, a conversion; see ``quant.methods.spiking_resnet.run`` for what follows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..base import Recipe, Start

__all__ = ["SpikingResnetRecipe"]


@dataclass(frozen=True, kw_only=True)
class SpikingResnetRecipe(Recipe):
    """How to convert trained weights, ``start``, without training.

    Further parameters: ``steps``, T; ``weight_bits``, ``first_bits``, ``last_bits``, ``shortcut_bits``; ``images`` of
    the training split that scales are measured on, ``percentile`` (in %) of their activations that they are;
    ``compensation``, how many of the images the factors of the layers (``factors``, tried for each; one alone is no
    search) and the initial membranes (``membranes``, "half", "channel" or "neuron") are found with.
    """

    NAME: ClassVar[str] = "spiking_resnet"

    start: Start
    steps: int
    weight_bits: int = 8
    first_bits: int | None = None
    last_bits: int | None = None
    shortcut_bits: int = 8
    images: int = 1024
    percentile: float = 99.9
    compensation: int = 64
    factors: list[float] | None = None
    membranes: str = "half"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(
            ("steps", 1 <= self.steps <= 64, "in 1..64"),
            ("weight_bits", 2 <= self.weight_bits <= 8, "in 2..8"),
            ("images", self.images >= 1, "1 or more"),
            ("percentile", 0 < self.percentile <= 100, "above 0 and at most 100"),
            ("compensation", 0 <= self.compensation <= self.images, "0 or more and at most images"),
            ("factors", self.factors is None or min(self.factors, default=0) > 0, "a list of positive numbers"),
            ("membranes", self.membranes in ("half", "channel", "neuron"), "'half', 'channel' or 'neuron'"),
        )

    @property
    def kind(self) -> str:
        """The neurons."""
        return "causal neurons"

    @property
    def network(self) -> str:
        """The only one."""
        return "causal"
