"""What goes into a simulation and what comes out, the same for every simulator.

Cycle 0 is the first clock cycle in which reset is low. A transfer happens in a cycle in which valid and ready are
both high just before the clock edge that ends it and reset is low.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

__all__ = ["SimulationError", "Stimulus", "Trace", "Transfers"]


class SimulationError(RuntimeError):
    """A simulator that is missing, or that failed; the message says what to install or shows what it printed."""


@dataclass(frozen=True)
class Stimulus:
    """What the environment does.

    Attributes:
        words: input words in order, uint32 (n, limbs).
        cycles: number of clock cycles to simulate.
        source_pauses: bool (any length): while idle, the source offers no new word in a cycle marked here. A word
            once offered stays until it is taken. Cycles past the end are not paused.
        sink_pauses: bool (any length) for all sinks, or (sinks, any length), a row for each output in the order of
            the ports: a sink is not ready in a cycle marked here.
        resets: pairs (cycle, word): reset is high for exactly that cycle, in which nothing is transferred; the
            source withdraws its word and goes on with input word number ``word`` from the next cycle on.
    """

    words: np.ndarray
    cycles: int
    source_pauses: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    sink_pauses: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    resets: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Transfers:
    """All transfers on one boundary: ``cycles`` int64 (n,), ascending, and ``words`` uint32 (n, limbs)."""

    cycles: np.ndarray
    words: np.ndarray


@dataclass(frozen=True)
class Trace:
    """All transfers of a run by boundary name, in the order of the data; ``violations`` lists broken stream rules
    as (cycle, boundary, text): a valid that fell, or a payload that changed, before the transfer, a wrong mark of the
    last word of a frame; ``speed``, cycles a second of the simulation without start and files, 0.0 where it was not
    measured."""

    boundaries: dict[str, Transfers]
    violations: tuple[tuple[int, str, str], ...] = ()
    speed: float = 0.0
