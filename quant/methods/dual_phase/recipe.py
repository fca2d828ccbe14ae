"""The recipe of the dual-phase method; see ``quant.methods.dual_phase.run`` for what follows it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import ClassVar

from ..base import Recipe, Start

__all__ = ["Calibration", "DualPhaseEpochs", "DualPhaseRates", "DualPhaseRecipe"]


@dataclass(frozen=True, kw_only=True)
class DualPhaseEpochs:
    """Epochs with the learned clip, with the noisy quantiser, and with rounded weights and thresholds."""

    clip: int
    noisy: int
    integers: int = 0


@dataclass(frozen=True, kw_only=True)
class DualPhaseRates:
    """Learning rates of the three; each falls to zero along half a cosine."""

    clip: float = 1e-2
    noisy: float = 1e-2
    integers: float = 1e-3


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Phase II: ``images`` of the training split, and as many others, ``held_out``, never trained on, by which the best
    of its steps is chosen; ``per``, "neuron" or "channel", the initial membranes; ``loss``, "kl" or "mse", ``epochs``,
    ``rate``, ``batch`` and ``patience`` of the weights of each layer; ``rounds`` of weights and membranes, 1 as in the
    paper, more, or 0: the first membranes alone."""

    images: int = 1024
    held_out: int = 1000
    per: str = "neuron"
    loss: str = "kl"
    epochs: int = 20
    rate: float = 1e-4
    batch: int = 128
    patience: int = 5
    rounds: int = 1


@dataclass(frozen=True, kw_only=True)
class DualPhaseRecipe(Recipe):
    """How to train by the dual-phase method.

    Further parameters: ``steps``, T; ``weight_bits``, ``first_bits``, ``last_bits``, ``shortcut_bits``; ``epochs``,
    ``rates``; ``noise``, p; ``fold``, whether batch norm is folded before the noisy quantiser, as the authors do;
    ``rounded``, whether weights are rounded to their bits with it already; ``rule``, "lossless" or "causal", what the
    epochs with integers train for; ``calibration``; ``strict``, the test > of the neurons; ``start``, trained weights;
    ``quantile`` of the activations that the first thresholds are; ``optimiser``, ``warm_up`` and ``weight_decay`` as
    in QCFS; ``tune``, a file of a network that rule "lossless" is good for and that stands for phase I: it is
    calibrated, and then trained for ``epochs.integers`` as the spiking network that it is, initial membranes included;
    or one of rule "causal" and as many steps, which is only trained; ``through_time``, whether by the gradient of the
    membrane over time (``quant.qat.firing``), not that of the counts.
    """

    NAME: ClassVar[str] = "dual_phase"

    epochs: DualPhaseEpochs
    steps: int
    weight_bits: int
    first_bits: int | None = None
    last_bits: int | None = None
    shortcut_bits: int = 8
    rates: DualPhaseRates = field(default_factory=DualPhaseRates)
    noise: float = 0.1
    fold: bool = False
    rounded: bool = True
    rule: str = "lossless"
    calibration: Calibration = field(default_factory=Calibration)
    strict: bool = False
    start: Start | None = None
    tune: str = ""
    through_time: bool = False
    quantile: float = 0.999
    optimiser: str = "sgd"
    warm_up: float = 0.0
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(
            ("steps", 1 <= self.steps <= 64, "in 1..64"),
            ("weight_bits", 2 <= self.weight_bits <= 8, "in 2..8"),
            ("epochs", min(asdict(self.epochs).values()) >= 0, "0 or more in each phase"),
            ("noise", 0 <= self.noise < 1, "at least 0 and below 1"),
            ("rule", self.rule in ("causal", "lossless"), "'causal' or 'lossless'"),
            ("calibration", self.calibration.per in ("neuron", "channel"), "per 'neuron' or 'channel'"),
            ("calibration", self.calibration.loss in ("kl", "mse"), "of loss 'kl' or 'mse'"),
            ("calibration", min(self.calibration.images, self.calibration.held_out) > 0, "on images, 1 or more"),
            ("tune", not (self.tune and self.start), "left out where there is a start"),
            ("tune", not self.tune or self.rule == "causal", "left out with rule 'lossless'"),
            ("epochs", not self.tune or self.epochs.clip == self.epochs.noisy == 0, "0 for clip and noisy with tune"),
            ("distill", not (self.tune and self.distill) or bool(self.distill.model), "with a model, with tune"),
            ("calibration", self.calibration.rounds >= 0, "of 0 rounds or more"),
            ("through_time", not self.through_time or bool(self.tune), "left out without tune"),
            ("quantile", 0 < self.quantile <= 1, "above 0 and at most 1"),
            ("optimiser", self.optimiser in ("adamw", "sgd"), "'adamw' or 'sgd'"),
            ("warm_up", 0 <= self.warm_up < 1, "at least 0 and below 1"),
        )

    @property
    def kind(self) -> str:
        """The neurons."""
        return "calibrated neurons"

    @property
    def network(self) -> str:
        """The calibrated one."""
        return "causal"
