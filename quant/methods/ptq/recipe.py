"""The recipe of post-training quantisation, a conversion; see ``quant.methods.ptq.run`` for what follows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..base import Recipe, Start

__all__ = ["PtqRecipe"]


@dataclass(frozen=True, kw_only=True)
class PtqRecipe(Recipe):
    """How to quantise trained weights, ``start``, without training.

    Further parameters: ``form``, "values", integers of ``bits`` bits with gains by powers of two, or "spikes", lossless
    neurons with ``steps`` time steps; ``weight_bits``, ``first_bits``, ``last_bits``, ``shortcut_bits``; ``images`` of
    the training split that everything is measured on; ``reconstruct``, epochs over them in which gradients move the
    integers (0: none).
    """

    NAME: ClassVar[str] = "ptq"

    start: Start
    form: str
    bits: int = 8
    steps: int = 15
    weight_bits: int = 8
    first_bits: int | None = None
    last_bits: int | None = None
    shortcut_bits: int | None = None
    images: int = 1000
    reconstruct: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(
            ("form", self.form in ("values", "spikes"), "'values' or 'spikes'"),
            ("bits", 1 <= self.bits <= 8, "in 1..8"),
            ("steps", 1 <= self.steps <= 64, "in 1..64"),
            ("weight_bits", 2 <= self.weight_bits <= 8, "in 2..8"),
            ("images", self.images >= 1, "1 or more"),
            ("reconstruct", self.reconstruct >= 0, "0 or more"),
        )

    @property
    def kind(self) -> str:
        """What flows."""
        return f"{self.bits}-bit values" if self.form == "values" else "lossless neurons"

    @property
    def network(self) -> str:
        """The only one."""
        return "integers"
