"""Integrate-and-fire neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from ..bounds import flag, within
from ..node import Node, by_channel, multiplied
from ..signal import Signal

__all__ = ["IF", "Rule"]

Rule = Literal["causal", "lossless", "signed"]


@dataclass(frozen=True, kw_only=True, eq=False)
class IF(Node):
    """Integrate and fire, reset by subtraction, with v = ``v0`` at the start of every frame.

    ``rule="causal"`` (QCFS, Bu et al. 2022): for each time step t in order,
        v += I_t + bias;  s_t = [v >= threshold];  v -= s_t * threshold.
    ``rule="signed"`` (Fast-SNN, Hu et al. 2023), with N = 0 at the start: v += I_t + bias; where v >= threshold a spike
        s_t = 1; else where v < 0 and N > 0 a negative one, s_t = -1; else s_t = 0;  v -= s_t * threshold;  N += s_t.
    ``rule="lossless"``: u = v0 + sum_t (I_t + bias); the count is the largest k in 0..T with k = 0 or
        u >= k * threshold, and s_t = [t < count]: the spikes come first. It equals the quantised ANN exactly.
    ``strict`` replaces the tests ``>=`` by ``>`` (the dual-phase method). ``threshold`` > 0 and ``bias`` have shape
    (C,), ``v0`` (C,) or, for an initial membrane of every neuron, (C, H, W).

    Rule ``lossless`` needs the sum of its currents alone; its spikes and the causal ones may travel as counts.
    """

    takes: ClassVar = ("currents",)

    threshold: np.ndarray
    bias: np.ndarray
    v0: np.ndarray
    rule: Rule = "causal"
    strict: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._arrays("threshold", "bias", "v0")
        object.__setattr__(self, "strict", flag(self.name, "strict", self.strict))
        if not isinstance(self.rule, str) or self.rule not in ("causal", "lossless", "signed"):
            self._fail(f"rule must be 'causal', 'lossless' or 'signed', not {self.rule!r}")
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
        return Signal("spikes", source.shape, True, -1 if self.rule == "signed" else 0, 1)

    def _check_inside(self, source: Signal, steps: int) -> None:
        # In 64 bits: a network's numbers are up to 2^48, and the sum below holds no more than 200 of them.
        current = max(-source.low, source.high)
        start = np.abs(self.v0).reshape(len(self.v0), -1).max(1)
        reach = start + steps * (current + np.abs(self.bias) + self.threshold)
        worst = int(reach.argmax())
        what = f"what its membrane can reach, |v0| + T * (|I| + |bias| + threshold), in channel {worst}"
        within(self.name, what, 0, int(reach[worst]))

    @property
    def adds_up(self) -> bool:
        """Whether its rule is ``lossless``."""
        return self.rule == "lossless"

    def reference(self, x: Sequence[np.ndarray], timed: Sequence[bool], steps: int) -> np.ndarray:
        """The spikes, of currents that are there in every step where they do not change."""
        currents = x[0] if timed[0] else np.repeat(x[0][:, None], steps, 1)
        return self._lossless(currents) if self.rule == "lossless" else self._membranes(currents)

    def _lossless(self, currents: np.ndarray) -> np.ndarray:
        """The count is the number of k in 1..T with u >= k * threshold (or >), for u does not change with k."""
        steps = currents.shape[1]
        u = self.v0.reshape(-1, *(self.v0.shape[1:] or (1, 1))) + (currents + by_channel(self.bias)).sum(1)
        test = np.greater if self.strict else np.greater_equal
        count = np.zeros_like(u)
        for k in range(1, steps + 1):
            count += test(u, k * by_channel(self.threshold))
        return np.stack([(t < count).astype(np.int64) for t in range(steps)], 1)

    def _membranes(self, currents: np.ndarray) -> np.ndarray:
        """Rules causal and signed: the membrane step by step."""
        threshold, bias = by_channel(self.threshold), by_channel(self.bias)
        v = np.zeros_like(currents[:, 0]) + self.v0.reshape(-1, *(self.v0.shape[1:] or (1, 1)))
        fired, spikes = np.zeros_like(v), np.empty_like(currents)
        for t in range(currents.shape[1]):
            v = v + currents[:, t] + bias
            up = v > threshold if self.strict else v >= threshold
            down = ~up & (v < 0) & (fired > 0) if self.rule == "signed" else np.zeros_like(up)
            spikes[:, t] = up.astype(np.int64) - down
            v = v - spikes[:, t] * threshold
            fired += spikes[:, t]
        return spikes

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
