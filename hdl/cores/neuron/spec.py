"""What a neuron array computes: its parameters, their limits, its words; the rest is its rule's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...bounds import largest, reaches, whole
from ...cost.parts import Parts
from ...streams.words import WordFormat
from ..protocol import CoreSpec
from .rule import Rule, rule_names, rule_of

if TYPE_CHECKING:
    from .core import NeuronArray

__all__ = ["NeuronSpec"]

MOST_STEPS = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class NeuronSpec(CoreSpec):
    """Integrate-and-fire neurons of a layer (``quant.ir.ops.IF``).

    Parameters:
        threshold, bias, v0: (Co,) integers, threshold > 0.
        rule, strict: the name of the rule (``hdl.cores.neuron.rule``), and whether it fires past its test only.
        time_steps: T.
        i_format: the current words; ``lanes`` output channels at once; ``steps`` of them: T, a divisor of T (several
            words a neuron, not where the rule adds up), or 1 (the sum over time where the rule adds up, or where
            ``constant``).
        ranges: (Co, 2), range of the current of each channel.
        constant: the current is the same in every time step and comes once; or in every step but the first, and comes
            behind that one.
        initial: (Co, 2), range of what the current of the first step has in addition (``hdl.cores.initial.spec``).
        counts: the words have the number of spikes of each neuron in binary, not the spikes; not with every rule.
        low: the least number of spikes, of which negative ones are -1, in -T..0; 0 but for rule ``lossless``.
    """

    NAME: ClassVar[str] = "neuronarray"

    threshold: np.ndarray
    bias: np.ndarray
    v0: np.ndarray
    rule: str
    strict: bool
    time_steps: int
    i_format: WordFormat
    ranges: np.ndarray
    constant: bool
    initial: np.ndarray | None = None
    counts: bool = False
    low: int = 0

    def __post_init__(self) -> None:
        for what in ("threshold", "bias", "v0"):
            whole(what, getattr(self, what), 1)
        whole("ranges", self.ranges, 2)
        if self.initial is not None:
            whole("initial", self.initial, 2)
        if not 1 <= self.time_steps <= MOST_STEPS or self.rule not in rule_names():
            raise ValueError(f"Neurons take 1..{MOST_STEPS} steps and a rule, not {self.time_steps} and {self.rule!r}")
        if not isinstance(self.strict, bool):
            raise TypeError(f"strict must be True or False, not {self.strict!r}")
        # A sum over time comes as one current.
        kind = rule_of(self.rule)
        times = 1 if kind.adds_up and not self.constant else self.time_steps
        currents = times * largest(self.ranges) + (0 if self.initial is None else largest(self.initial))
        reaches("A membrane", largest(self.v0) + currents + self.time_steps * largest(self.threshold))
        reaches("A membrane", largest(self.v0) + currents + self.time_steps * largest(self.bias))
        if self.threshold.min() <= 0:
            raise ValueError(f"Threshold must be positive, not {self.threshold.min()}")
        if self.threshold.shape[0] % self.outputs:
            raise ValueError(f"outputs={self.outputs} does not divide the {self.threshold.shape[0]} output channels")
        if self.counts and not kind.counts:
            raise ValueError(f"The rule {self.rule} does not count its spikes")
        if self.low and not kind.falls:
            raise ValueError(f"The rule {self.rule} has no lower end, so low must be 0, not {self.low}")
        if not -self.time_steps <= self.low <= 0:
            raise ValueError(f"low must be in {-self.time_steps}..0, not {self.low}")

    @cached_property
    def by_rule(self) -> Rule:
        """What differs by rule."""
        return rule_of(self.rule)(self)

    @property
    def outputs(self) -> int:
        """Neurons computed at once."""
        return self.i_format.lanes

    @property
    def groups(self) -> int:
        """Groups of neurons, one after the other."""
        return self.threshold.shape[0] // self.outputs

    @property
    def scans(self) -> int:
        """Current words of one group of neurons."""
        return 1 if self.by_rule.adds_up or self.constant else self.time_steps // self.i_format.steps

    @property
    def stages(self) -> int:
        """Time steps of a neuron computed for one current word."""
        return self.time_steps // self.scans

    @property
    def o_format(self) -> WordFormat:
        """The spike words: ``outputs`` lanes, all time steps, or their number."""
        spikes = WordFormat(self.outputs, self.time_steps, self.by_rule.lowest, 1)
        return spikes.summed if self.counts else spikes

    @property
    def latency(self) -> int:
        """Cycles from the last current word of a group to its spikes."""
        return self.by_rule.latency

    @property
    def turnaround(self) -> int:
        """Cycles that must lie between the current words of one group of neurons."""
        return self.by_rule.turnaround

    def compute(self, currents: np.ndarray) -> np.ndarray:
        """Model: currents (n, outputs, steps) to spikes (n / scans, outputs, T), or counts (n / scans, outputs, 1)."""
        x = self.i_format.checked(currents).reshape(-1, self.groups, self.scans, self.outputs, self.i_format.steps)
        x = x.transpose(0, 1, 3, 2, 4).reshape(len(x), self.groups * self.outputs, -1)
        spikes = self.by_rule.spikes(x).reshape(-1, self.outputs, self.time_steps)
        return spikes.sum(-1, keepdims=True) if self.counts else spikes

    def parts(self) -> Parts:
        """What it is made of."""
        return self.by_rule.parts()

    def core(self) -> NeuronArray:
        """The hardware."""
        from .core import NeuronArray

        return NeuronArray(self)
