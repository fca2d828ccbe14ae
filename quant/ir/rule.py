"""When a neuron spikes: what all rules of integrate-and-fire neurons have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from .node import by_channel
from .reach.branches import Branches
from .reach.node import NodeReach
from .span import Span

if TYPE_CHECKING:
    from .ops.integrate_and_fire import IF

__all__ = ["Firing", "Rule"]


class Firing(NamedTuple):
    """What neurons can do at all: ``spikes``, what those of every step can be (S = T); ``total``, those of all steps
    together (S = 1); ``branches`` by kind, before any frame: ``tests`` (2, K, C), whether one of the K tests
    (:meth:`Rule.tests`) can fail, can hold; ``thresholds`` (2, C), whether one higher, and lower, by one can change a
    spike; and those of the rule alone."""

    spikes: Span
    total: Span
    branches: dict[str, Branches]


class Rule(ABC):
    """When a neuron spikes, and what its membrane does then.

    A rule is a class in a file of its own, ``quant/ir/rules/<rule>.py``, whose docstring is its equation. Attributes:
    ``name``, the one that networks have for it; ``lowest``, its lowest spike, the highest being 1; ``adds_up``, whether
    it needs the sum of its currents over time alone; ``counts``, whether its spikes may travel as their sum over time;
    ``folds``, whether a step depends on the steps before it alone, so that they may be computed one after the other;
    ``falls``, whether it knows the field ``low`` of a node, the least number of spikes, of which negative ones are -1.
    ``membrane``, in words, and :meth:`most` say how far its membrane can go.
    """

    name: ClassVar[str]
    lowest: ClassVar[int] = 0
    adds_up: ClassVar[bool] = False
    counts: ClassVar[bool] = False
    folds: ClassVar[bool] = False
    falls: ClassVar[bool] = False
    membrane: ClassVar[str] = "|v0| + T * (|I| + |bias| + threshold)"

    @abstractmethod
    def reference(self, node: IF, currents: np.ndarray) -> np.ndarray:
        """The spikes (N, T, C, H, W) of ``currents`` (N, T, C, H, W), int64: the equation in plain NumPy, which shares
        no line with ``quant.kernels``."""

    def membranes(self, node: IF, currents: np.ndarray, spikes: np.ndarray) -> np.ndarray:
        """What is compared with the threshold, of ``currents`` and ``spikes`` (N, T, C, H, W), int64: the membrane of
        every step, with the currents up to it and less a threshold for every spike before it."""
        found = (currents + by_channel(node.bias)).cumsum(1)
        found += node.v0.reshape(-1, *(node.v0.shape[1:] or (1, 1)))
        found[:, 1:] -= spikes[:, :-1].cumsum(1, dtype=np.int64) * by_channel(node.threshold)
        return found

    def most(self, node: IF, current: int, steps: int) -> np.ndarray:
        """The largest magnitude (C,) that a membrane can have with currents up to ``current``."""
        # In 64 bits: a network's numbers are up to 2^48, and the sum below holds no more than 200 of them.
        start = np.abs(node.v0).reshape(len(node.v0), -1).max(1)
        return start + steps * (current + np.abs(node.bias) + node.threshold)

    def tests(self, node: IF, steps: int) -> int:
        """How many spike tests a neuron has."""
        return steps

    @abstractmethod
    def possible(self, node: IF, current: Span, steps: int, timed: bool) -> Firing:
        """What ``node`` can do, of currents that can be ``current`` and differ from step to step (``timed``) or not."""

    @abstractmethod
    def observe(self, node: IF, current: np.ndarray, spikes: np.ndarray, found: NodeReach) -> None:
        """Note in ``found`` what some frames reached (``quant.ir.reach.neuron``).

        Parameters: ``current`` (N, T, C, H, W), or (N, C, H, W) where it does not change; ``spikes`` (N, T, C, H, W).
        """

    def texts(self, kind: str, branches: Branches) -> list[str]:
        """What was missed of ``branches`` that the rule alone has, in words."""
        return [f"{branches.part} channels have {kind} that were missed"]
