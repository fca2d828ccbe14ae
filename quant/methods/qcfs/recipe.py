"""The recipe of QCFS; see ``quant.methods.qcfs.run`` for what follows it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import ClassVar

from ..base import Epochs, Rates, Recipe, Start

__all__ = ["QcfsRecipe"]


@dataclass(frozen=True, kw_only=True)
class QcfsRecipe(Recipe):
    """How to train a spiking network with QCFS activations, in three phases.

    Further parameters: ``epochs``; ``rates``; ``steps``, T; ``levels``, L, T if left out; ``weight_bits``,
    ``first_bits``, ``last_bits``, ``shortcut_bits``; ``rule``, the neuron the last phase trains for; ``start``,
    trained weights; ``quantile``, of the activations, that the first thresholds are; ``rounded``, whether weights are
    rounded to their bits in the second phase already; ``optimiser``, "adamw" or "sgd"; ``warm_up``, the share of a
    phase in which the rate rises before it falls; ``weight_decay``; ``tune``, the file of an integer network of spikes
    that the last phase alone goes on from, in place of ``model``: for more epochs, other time steps, another rule.
    """

    NAME: ClassVar[str] = "qcfs"

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
    tune: str = ""

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
            ("tune", not (self.tune and self.start), "left out where there is a start"),
            ("epochs", not self.tune or self.epochs.float == self.epochs.qcfs == 0, "0 for float and qcfs with tune"),
            ("distill", not (self.tune and self.distill) or bool(self.distill.model), "with a model, with tune"),
            ("warm_up", 0 <= self.warm_up < 1, "at least 0 and below 1"),
        )

    @property
    def kind(self) -> str:
        """The neurons."""
        return f"{self.rule} neurons"

    @property
    def network(self) -> str:
        """The rule that was trained for."""
        return self.rule
