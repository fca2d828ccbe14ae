"""The recipe of Fast-SNN; see ``quant.methods.fast_snn.run`` for what follows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..base import Recipe, Start

__all__ = ["FastSnnRecipe", "Tuning"]


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """Layer-wise fine-tuning: ``images`` of the training split, and others, ``held_out``, never trained on, by which a
    layer's new weights are kept or not (``force``: all kept); ``epochs``, ``rate``, ``batch``, ``weight_decay``."""

    images: int = 4096
    held_out: int = 1000
    epochs: int = 1
    rate: float = 1e-3
    batch: int = 128
    weight_decay: float = 1e-4
    force: bool = False


@dataclass(frozen=True, kw_only=True)
class FastSnnRecipe(Recipe):
    """How to train by Fast-SNN.

    Further parameters: ``bits`` of the activations of each round, falling, out of 4, 3 and 2; ``epochs`` and ``rates``
    of the rounds; ``weight_bits`` of the rounds (left out: ``bits``) and ``grid``, "apot" or "uniform", the values of
    the weights; ``first_bits``, ``last_bits``, ``shortcut_bits``; ``float_epochs`` and ``float_rate``, with ReLUs
    before; ``integer_epochs`` and ``integer_rate``, with rounded thresholds and batch norm folded, after;
    ``signed_epochs`` and ``signed_rate``, of the spiking network as a whole, before its ``tuning`` (not in the paper);
    ``tune``, the file of an integer network, of the last of ``bits`` and with weights of ``grid``, that the epochs of
    the spiking network alone go on from; ``start``, trained weights; ``quantile`` of the activations that the first
    thresholds are; ``optimiser``, ``warm_up`` and ``weight_decay`` as in QCFS.
    """

    NAME: ClassVar[str] = "fast_snn"

    bits: list[int]
    epochs: list[int]
    rates: list[float]
    weight_bits: list[int] = field(default_factory=list)
    grid: str = "apot"
    first_bits: int = 8
    last_bits: int = 8
    shortcut_bits: int = 8
    float_epochs: int = 0
    float_rate: float = 1e-2
    integer_epochs: int = 0
    integer_rate: float = 1e-3
    signed_epochs: int = 0
    signed_rate: float = 1e-3
    tuning: Tuning = field(default_factory=Tuning)
    start: Start | None = None
    quantile: float = 0.999
    optimiser: str = "sgd"
    warm_up: float = 0.0
    weight_decay: float = 1e-4
    tune: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.weight_bits:
            object.__setattr__(self, "weight_bits", list(self.bits))
        rounds, most = len(self.bits), 4 if self.grid == "apot" else 8
        falling = all(a > b for a, b in zip(self.bits, self.bits[1:], strict=False))
        self._check(
            ("bits", rounds > 0 and set(self.bits) <= {2, 3, 4} and falling, "a falling list of 4, 3 and 2"),
            ("grid", self.grid in ("apot", "uniform"), "'apot' or 'uniform'"),
            ("weight_bits", all(2 <= b <= most for b in self.weight_bits), f"a list of 2..{most}"),
            ("weight_bits", len(self.weight_bits) == rounds, f"a list of {rounds}, one for each of bits"),
            ("epochs", len(self.epochs) == rounds, f"a list of {rounds}, one for each of bits"),
            ("epochs", min(self.epochs, default=0) >= 0, "0 or more in each round"),
            ("rates", len(self.rates) == rounds, f"a list of {rounds}, one for each of bits"),
            ("float_epochs", self.float_epochs >= 0, "0 or more"),
            ("tune", not (self.tune and self.start), "left out where there is a start"),
            ("tune", not self.tune or sum(self.epochs) + self.float_epochs + self.integer_epochs == 0,
             "with signed_epochs alone"),
            ("distill", not (self.tune and self.distill) or bool(self.distill.model), "with a model, with tune"),
            ("integer_epochs", self.integer_epochs >= 0, "0 or more"),
            ("tuning", min(self.tuning.images, self.tuning.held_out) > 0, "on images, 1 or more"),
            ("quantile", 0 < self.quantile <= 1, "above 0 and at most 1"),
            ("optimiser", self.optimiser in ("adamw", "sgd"), "'adamw' or 'sgd'"),
            ("warm_up", 0 <= self.warm_up < 1, "at least 0 and below 1"),
        )

    @property
    def kind(self) -> str:
        """The neurons."""
        return "signed neurons"

    @property
    def network(self) -> str:
        """The tuned one."""
        return "signed"
