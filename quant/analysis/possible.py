"""What can appear in a network at all, by derivation: the values of every channel, both ways of every test, the clamps.

Values are spans, channel by channel and, of spikes, step by step; the spans of a layer follow from those of its
sources as if the elements of a source were independent of each other. So what is out of a span can never be, while
some of what is inside may never be either. ``quant.analysis.reach`` compares what frames reached with this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ..ir.network import Network
from ..ir.ops import IF, Requant
from ..ir.span import Span

__all__ = ["Clamps", "Possible", "Tests", "possible"]


@dataclass(frozen=True)
class Tests:
    """The spike tests of neurons: ``ways`` (2, T, C), whether a test can fail, and can hold; ``dips`` (3, T, C), of
    rule ``signed``: whether a membrane can be 0 or more with spikes to take back, below 0 with such, and below 0
    without; ``moves`` (2, C), whether a threshold higher, and lower, by one can change a spike; ``total``, the span of
    the spikes of all time steps together."""

    ways: np.ndarray
    dips: np.ndarray
    moves: np.ndarray
    total: Span


class Clamps(NamedTuple):
    """Of a ``Requant``: ``parts`` (3, C), below the range, inside, above it; ``moves`` (2, C), whether a bias higher,
    and lower, by one can change a value."""

    parts: np.ndarray
    moves: np.ndarray


@dataclass(frozen=True)
class Possible:
    """What can appear, by node: ``spans``; ``totals`` (S = 1), those of the spikes of all time steps together;
    ``tests`` of the neurons; ``clamps`` of the quantisers."""

    spans: dict[str, Span]
    totals: dict[str, Span]
    tests: dict[str, Tests]
    clamps: dict[str, Clamps]


def possible(network: Network) -> Possible:
    """Derive what can appear in ``network``."""
    found = Possible({}, {}, {}, {})
    for node in network:
        if isinstance(node, IF):
            timed = network.signals[node.source].timed
            tests = _lossless if node.rule == "lossless" else _stepwise
            found.tests[node.name] = made = tests(node, found.spans[node.source], network.steps, timed)
            found.totals[node.name] = made.total
            low = -made.dips[1].astype(np.int64) if node.rule == "signed" else (~made.ways[0]).astype(np.int64)
            found.spans[node.name] = Span(low, made.ways[1].astype(np.int64))
            continue
        spans = [found.spans[source] for source in node.sources]
        sources = [network.signals[source] for source in node.sources]
        found.spans[node.name] = node.span(spans, sources, network.steps)
        if isinstance(node, Requant):
            found.clamps[node.name] = _clamps(node, spans[0])
        if node.source in found.totals and node.passes_sums and network.signals[node.name].kind == "spikes":
            summed = [replace(sources[0], timed=False)]
            found.totals[node.name] = node.span([found.totals[node.source]], summed, network.steps)
    return found


def _meets(low: np.ndarray, high: np.ndarray, step: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Whether one of low, low + step, ..., high is in start..end."""
    step = np.maximum(step, 1)
    first = low + -(-np.maximum(start - low, 0) // step) * step
    return first <= np.minimum(high, end)


def _lossless(node: IF, current: Span, steps: int, timed: bool) -> Tests:
    """By the span of the sum over time."""
    v = node.v0.reshape(len(node.v0), -1)
    low, high = ((end * steps + steps * node.bias - node.strict) for end in (current.low[0], current.high[0]))
    assert current.step is not None
    step = np.where(v.min(1) == v.max(1), current.step * (1 if timed else steps), 1)
    low, high = low + v.min(1), high + v.max(1)
    k = np.arange(1, steps + 1)[:, None]
    test = k * node.threshold
    hits = [_meets(low, high, step, test, test + k - 1), _meets(low, high, step, test - k, test - 1)]
    moves = np.any(np.stack(hits), axis=1)
    moves[1] &= node.threshold > 1
    ways = np.stack([low < test, high >= test])
    return Tests(ways, np.zeros((3, *test.shape), bool), moves, Span((~ways[0]).sum(0)[None], ways[1].sum(0)[None]))


def _stepwise(node: IF, current: Span, steps: int, timed: bool) -> Tests:
    """Membranes by interval arithmetic, step by step; of the spikes so far, fewest and most."""
    del timed  # a constant current is as any other here
    signed = node.rule == "signed"
    v = node.v0.reshape(len(node.v0), -1)
    low, high = v.min(1), v.max(1)
    fewest, most = np.zeros((2, len(low)), np.int64)
    ways, dips = np.zeros((2, steps, len(low)), bool), np.zeros((3, steps, len(low)), bool)
    moves = np.zeros((2, len(low)), bool)
    far = np.int64(1) << 62
    for t in range(steps):
        low, high = low + current.low[0] + node.bias, high + current.high[0] + node.bias
        test = node.threshold + node.strict
        holds, fails = high >= test, low < test
        ways[:, t] = fails, holds
        moves[0] |= _between(low, high, test, test + most)
        moves[1] |= _between(low, high, test - most - 1, test - 1)
        parts = [(low, np.minimum(high, test - 1), 0), (np.maximum(low, test), high, -1)]
        falls = np.zeros_like(holds)
        if signed:
            some = most > 0
            falls = (low < 0) & some
            dips[:, t] = (high >= 0) & some, falls, (low < 0) & (fewest <= 0)
            moves[0] |= some & _between(low, high, 0 * test, most - 1)
            moves[1] |= some & _between(low, high, -most, 0 * test - 1)
            parts.append((low, np.where(some, np.minimum(high, -1), low - 1), 1))
        lows = [np.where(a <= b, a + move * node.threshold, far) for a, b, move in parts]
        highs = [np.where(a <= b, b + move * node.threshold, -far) for a, b, move in parts]
        low, high = np.minimum.reduce(lows), np.maximum.reduce(highs)
        fewest = np.maximum(fewest + ~fails - falls, 0)
        most = most + holds
    moves[1] &= node.threshold > 1
    return Tests(ways, dips, moves, Span(fewest[None], most[None]))


def _between(low: np.ndarray, high: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    return (low <= end) & (high >= start)


def _clamps(node: Requant, source: Span) -> Clamps:
    ends = [node.shifted(end[0]) for end in (source.low, source.high)]
    low, high = (end[0] - node.bias for end in (source.low, source.high))
    parts = np.stack([ends[0] < node.lo, (ends[0] <= node.hi) & (ends[1] >= node.lo), ends[1] > node.hi])
    # x = I - bias. To the right, x and x - 1 give two values where x = q << shift with lo < q <= hi, and x and x + 1
    # where x + 1 is one of those. To the left, where neither both of them are clamped below nor both above.
    wide, left = np.int64(1) << np.maximum(node.shift, 0), np.int64(1) << np.maximum(-node.shift, 0)
    moves = []
    for more in (0, 1):
        first = np.maximum(node.lo + 1, -(-(low + more) // wide))
        right = first <= np.minimum(node.hi, (high + more) // wide)
        start, end = node.lo // left + 1 - more, -(-node.hi // left) - more
        moves.append(np.where(node.shift > 0, right, _between(low, high, start, end)))
    return Clamps(parts, np.stack(moves))
