"""What the rules have in common that follow the membrane from step to step."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from ..node import by_channel
from ..reach.branches import Branches
from ..reach.neuron import Watch
from ..reach.node import NodeReach
from ..rule import Firing, Rule
from ..span import Span, between

if TYPE_CHECKING:
    from ..ops.integrate_and_fire import IF

__all__ = ["Back", "Stepwise", "reaches"]

FAR = np.int64(1) << 62
"""Beyond all membranes."""


class Back(NamedTuple):
    """What taking spikes back can do in a step: ``falls`` (C,), where one can be; ``moves`` (2, C), where a threshold
    higher, and lower, by one can change that; ``below`` (C,), the highest membrane of which one can be."""

    falls: np.ndarray
    moves: np.ndarray
    below: np.ndarray


class Stepwise(Rule):
    """Common part of the rules of the form: for each time step t in order, v += I_t + bias; where v >= threshold a
    spike s_t = 1, else s_t = 0 or, where the rule takes spikes back, -1;  v -= s_t * threshold.

    ``spikes`` and ``back`` say where one is taken back. A rule that spikes otherwise needs ``possible`` and ``observe``
    of its own.
    """

    folds: ClassVar = True

    @abstractmethod
    def spikes(self, node: IF, v: np.ndarray, fired: np.ndarray) -> np.ndarray:
        """The spikes of a step, of membranes ``v`` (N, C, H, W) with ``fired`` spikes so far."""

    def reference(self, node: IF, currents: np.ndarray) -> np.ndarray:
        """The membrane step by step."""
        threshold, bias = by_channel(node.threshold), by_channel(node.bias)
        v = np.zeros_like(currents[:, 0]) + node.v0.reshape(-1, *(node.v0.shape[1:] or (1, 1)))
        fired, spikes = np.zeros_like(v), np.empty_like(currents)
        for t in range(currents.shape[1]):
            v = v + currents[:, t] + bias
            spikes[:, t] = self.spikes(node, v, fired)
            v = v - spikes[:, t] * threshold
            fired += spikes[:, t]
        return spikes

    def back(self, low: np.ndarray, high: np.ndarray, most: np.ndarray) -> Back | None:
        """What taking spikes back can do to membranes ``low``..``high`` (C,) with up to ``most`` spikes so far; None of
        a rule that takes none back."""
        return None

    def possible(self, node: IF, current: Span, steps: int, timed: bool) -> Firing:
        """Membranes by interval arithmetic, step by step; of the spikes so far, fewest and most. A current that is the
        same in all steps is as any other here."""
        v = node.v0.reshape(len(node.v0), -1)
        low, high = v.min(1), v.max(1)
        fewest, most = np.zeros((2, len(low)), np.int64)
        ways, spikes = np.zeros((2, steps, len(low)), bool), np.zeros((2, steps, len(low)), np.int64)
        moves, dips = np.zeros((2, len(low)), bool), []
        for t in range(steps):
            low, high = low + current.low[0] + node.bias, high + current.high[0] + node.bias
            test = node.threshold + node.strict
            holds, fails = high >= test, low < test
            ways[:, t], spikes[:, t] = (fails, holds), (~fails, holds)
            moves[0] |= between(low, high, test, test + most)
            moves[1] |= between(low, high, test - most - 1, test - 1)
            parts = [(low, np.minimum(high, test - 1), 0), (np.maximum(low, test), high, -1)]
            falls = np.zeros_like(holds)
            if (back := self.back(low, high, most)) is not None:
                falls = back.falls
                spikes[0, t] = -falls.astype(np.int64)
                dips.append(np.stack([(high >= 0) & (most > 0), falls, (low < 0) & (fewest <= 0)]))
                moves |= back.moves
                parts.append((low, back.below, 1))
            lows = [np.where(a <= b, a + move * node.threshold, FAR) for a, b, move in parts]
            highs = [np.where(a <= b, b + move * node.threshold, -FAR) for a, b, move in parts]
            low, high = np.minimum.reduce(lows), np.maximum.reduce(highs)
            fewest = np.maximum(fewest + ~fails - falls, 0)
            most = most + holds
        moves[1] &= node.threshold > 1
        branches = {"tests": Branches.of(ways), "thresholds": Branches.of(moves, "moved")}
        if dips:
            branches["dips"] = Branches.of(np.stack(dips, 1))
        return Firing(Span(*spikes), Span(fewest[None], most[None]), branches)

    def observe(self, node: IF, current: np.ndarray, spikes: np.ndarray, found: NodeReach) -> None:
        """The membrane step by step."""
        watch = Watch(node, current, spikes, found)
        g = np.broadcast_to(watch.start - watch.threshold, watch.number.shape).copy()
        for t in range(spikes.shape[1]):
            g += current[:, t] if current.ndim == 5 else current
            g += watch.bias
            watch.test(g, t)
            self.look(node, g, t, watch, found)
            g -= spikes[:, t] * watch.threshold
            watch.number += spikes[:, t]
        self.settle(node, current, watch, found)
        watch.close()

    def look(self, node: IF, g: np.ndarray, t: int, watch: Watch, found: NodeReach) -> None:
        """Note what the rule has beside the test, of distances ``g`` (N, C, H, W) from it in step ``t``."""

    def settle(self, node: IF, current: np.ndarray, watch: Watch, found: NodeReach) -> None:
        """Take out of what ``watch`` says was moved what does not show, all steps together."""


def reaches(node: IF, v: np.ndarray) -> np.ndarray:
    """Whether membranes ``v`` (N, C, H, W) reach their thresholds."""
    return v > by_channel(node.threshold) if node.strict else v >= by_channel(node.threshold)
