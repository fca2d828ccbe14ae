"""What differs between the rules of neurons, and which rules there are.

A rule stands in one module of this folder, ``<rule>.py``, which registers it with :func:`neuron_rule`; no other file
names it. A rule whose steps follow each other is a :class:`hdl.cores.neuron.stepwise.Stepwise`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np
from amaranth import Value

from ...cost.parts import Parts
from ...memory.columns import AHEAD

if TYPE_CHECKING:
    from .builder import Builder, Travel
    from .spec import NeuronSpec

__all__ = ["Rule", "neuron_rule", "rule_names", "rule_of"]


class Rule(ABC):
    """A rule, for the neurons of ``spec``.

    Attributes: ``adds_up``, whether it takes the currents of all time steps added up, in one word; ``counts``, whether
    the number of its spikes may leave instead of them; ``falls``, whether it knows a lower end (``low`` of the spec).
    """

    adds_up: ClassVar[bool] = False
    counts: ClassVar[bool] = False
    falls: ClassVar[bool] = False

    def __init__(self, spec: NeuronSpec) -> None:
        self.spec = spec

    @property
    def lowest(self) -> int:
        """The lowest of its spikes, the highest is 1."""
        return 0

    @property
    @abstractmethod
    def latency(self) -> int:
        """Cycles from the last current word of a group to its spikes."""

    @property
    def turnaround(self) -> int:
        """Cycles that must lie between the current words of one group: until its membranes are there again."""
        return 1 if self.spec.scans == 1 else self.latency

    @property
    def ahead(self) -> bool:
        """Whether constants that are needed at once are looked up while the group before theirs is there."""
        return self.spec.groups > AHEAD

    @property
    @abstractmethod
    def tests(self) -> np.ndarray:
        """The spike tests (T, Co), more with a lower end, with the bias moved into them: spike where the sum reaches
        this value."""

    @abstractmethod
    def spikes(self, currents: np.ndarray) -> np.ndarray:
        """Model: currents (n, Co, current steps of a neuron) to spikes (n, Co, T)."""

    @abstractmethod
    def parts(self) -> Parts:
        """What the array is made of."""

    @abstractmethod
    def circuit(self, build: Builder, travel: Travel, currents: list[list[Value]]) -> None:
        """Add the circuit, up to ``build.o``: ``currents`` of every lane, step by step, come with ``travel``."""


_RULES: dict[str, type[Rule]] = {}

_Found = TypeVar("_Found", bound=type[Rule])


def neuron_rule(name: str) -> Callable[[_Found], _Found]:
    """Register a rule by the name that nodes and specs have for it. Raises ValueError where it is taken."""

    def register(rule: _Found) -> _Found:
        if name in _RULES:
            raise ValueError(f"There is a rule {name} already")
        _RULES[name] = rule
        return rule

    return register


def rule_names() -> list[str]:
    """The names of all rules, sorted."""
    return sorted(_RULES)


def rule_of(name: str) -> type[Rule]:
    """The rule called ``name``. Raises ValueError where there is none."""
    if name not in _RULES:
        raise ValueError(f"Neurons have a rule of {', '.join(rule_names())}, not {name!r}")
    return _RULES[name]
