"""Integrate-and-fire neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from ..bounds import flag, one_of, within
from ..node import IMPLICIT, Node, Tested, multiplied
from ..reach.branches import Near
from ..reach.node import NodeReach, Place
from ..rule import Rule
from ..rules import RULES
from ..signal import Signal
from ..span import Span

__all__ = ["IF"]


@dataclass(frozen=True, kw_only=True, eq=False)
class IF(Node):
    """Integrate and fire, reset by subtraction, with v = ``v0`` at the start of every frame.

    ``rule`` says when a neuron spikes, and is the name of one in ``quant.ir.rules``, whose class has the equation.
    ``strict`` replaces its tests ``>=`` by ``>`` (the dual-phase method). ``threshold`` > 0 and ``bias`` have shape
    (C,), ``v0`` (C,) or, for an initial membrane of every neuron, (C, H, W). ``low``, in -T..0 and 0 for all rules but
    ``lossless``, is the least number of spikes, of which negative ones are -1.
    """

    takes: ClassVar = ("currents",)
    activation: ClassVar = True

    threshold: np.ndarray
    bias: np.ndarray
    v0: np.ndarray
    rule: str = "causal"
    strict: bool = False
    low: int = field(default=0, metadata=IMPLICIT)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._arrays("threshold", "bias", "v0")
        self._integers("low")
        object.__setattr__(self, "strict", flag(self.name, "strict", self.strict))
        if not isinstance(self.rule, str) or self.rule not in RULES:
            self._fail(f"rule must be {one_of(RULES)}, not {self.rule!r}")
        if self.low and not self.fires.falls:
            falling = one_of(name for name, rule in RULES.items() if rule.falls)
            self._fail(f"low must be 0 with rule {self.rule!r}, not {self.low}; only rule {falling} has a lower end")
        if (
            not self.threshold.shape == self.bias.shape == self.v0.shape[:1]
            or self.threshold.ndim != 1
            or self.v0.ndim not in (1, 3)
            or not self.v0.size
        ):
            self._fail(
                f"threshold, bias and v0 must have one value a channel (v0 also one a neuron, (C, H, W)), not shapes "
                f"{self.threshold.shape}, {self.bias.shape}, {self.v0.shape}"
            )
        if (bad := np.flatnonzero(self.threshold <= 0)).size:
            self._fail(
                f"threshold of channel {bad[0]} is {self.threshold[bad[0]]}; a threshold must be positive "
                f"(flip the sign of the channel's weights and bias, or retrain with a positive one)"
            )

    def _signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        source = sources[0]
        self._check_channels(self.threshold, source)
        if self.v0.ndim == 3 and self.v0.shape != source.shape:
            self._fail(f"v0 has shape {self.v0.shape}, but the neurons {source.shape}")
        if not -steps <= self.low <= 0:
            self._fail(f"low must be in -T..0, that is {-steps}..0, not {self.low}")
        if self.low:  # rules with a lower end spike first and in one direction
            return Signal("spikes", source.shape, True, -1, 1, ordered=True)
        return Signal("spikes", source.shape, True, self.fires.lowest, 1)

    def _check_inside(self, source: Signal, steps: int) -> None:
        reach = self.fires.most(self, max(-source.low, source.high), steps)
        worst = int(reach.argmax())
        what = f"what its membrane can reach, {self.fires.membrane}, in channel {worst}"
        within(self.name, what, 0, int(reach[worst]))

    @property
    def fires(self) -> Rule:
        """Its rule."""
        return RULES[self.rule]

    @property
    def adds_up(self) -> bool:
        """Whether its rule needs the sum of its currents alone."""
        return self.fires.adds_up

    @property
    def counts(self) -> bool:
        """Whether those of its rule may."""
        return self.fires.counts

    def reference(self, x: Sequence[np.ndarray], timed: Sequence[bool], steps: int) -> np.ndarray:
        """The spikes, of currents that are there in every step where they do not change."""
        return self.fires.reference(self, x[0] if timed[0] else np.repeat(x[0][:, None], steps, 1))

    def span(self, spans: Sequence[Span], sources: Sequence[Signal], steps: int) -> Span:
        """The spikes of every step that its rule can give."""
        return self.fires.possible(self, spans[0], steps, sources[0].timed).spikes

    def total(
        self, totals: Sequence[Span | None], spans: Sequence[Span], sources: Sequence[Signal], steps: int
    ) -> Span | None:
        """The spikes of all steps together that its rule can give."""
        return self.fires.possible(self, spans[0], steps, sources[0].timed).total

    def tested(self, current: np.ndarray, result: np.ndarray, steps: int) -> Tested:
        """Its membranes, in thresholds."""
        timed = current if current.ndim == 5 else np.repeat(current[:, None], steps, 1)
        found = self.fires.membranes(self, timed.astype(np.int64), result)
        when = "in every step" if found.shape[1] == steps > 1 else "of all steps"
        return Tested(found, self.threshold, f"membrane {when}, in thresholds", 1, "at the threshold or above it")

    def reach(self, place: Place) -> NodeReach:
        """Both ways of the tests of its rule, and every threshold moved by one."""
        return _NeuronReach(self, place)

    @classmethod
    def array_shape(
        cls, field: str, shape: tuple[int, ...], entry: Mapping[str, Any], source: tuple[int, int, int]
    ) -> tuple[bool, str]:
        """One number a channel; of ``v0`` also one a neuron."""
        fits, want = super().array_shape(field, shape, entry, source)
        return fits or (field == "v0" and shape == source), want

    def scalable(self, factor: np.ndarray) -> np.ndarray:
        """Factors (C,) up to ``factor`` by which its currents may be multiplied: any."""
        return factor

    def scaled(self, factor: np.ndarray) -> IF:
        """The node behind currents that are ``factor`` (C,) times what they were, rounded."""
        threshold = np.maximum(1, multiplied(self.threshold, factor))
        bias, v0 = multiplied(self.bias, factor), multiplied(self.v0, factor)
        return replace(self, threshold=threshold, bias=bias, v0=v0)


class _NeuronReach(NodeReach):
    """Branches ``tests`` (2, K, C): a test fails, and holds. Constants ``thresholds`` (2, C): whether one higher, and
    lower, by one changes a spike; further ones of the rule. How near membranes came to the tests is noted."""

    def __init__(self, node: IF, place: Place) -> None:
        super().__init__(place, valued=place.counted)
        self._node = node
        self.branches |= node.fires.possible(node, place.spans[0], place.steps, place.sources[0].timed).branches
        self.near = Near.none(node.fires.tests(node, place.steps), len(node.threshold))

    def observe(self, inputs: Sequence[np.ndarray], result: np.ndarray) -> None:
        self._node.fires.observe(self._node, inputs[0], result, self)

    def texts(self, kind: str) -> list[str]:
        branches = self.branches[kind]
        if kind == "thresholds":
            return self.moved(kind, "threshold")
        if kind != "tests":
            return self._node.fires.texts(kind, branches)
        channels = branches.can.shape[-1]
        never = int((branches.can[1].any(0) & ~branches.seen[1].any(0)).sum())
        rest = len(branches.channels) - never
        texts = [(never, "never crossed their threshold"), (rest, "have a test that went one way only")]
        return [f"{n} of {channels} channels {text}" for n, text in texts if n]
