"""What can appear in a network at all, by derivation: the values of every channel, both ways of every test, the clamps.

Values are spans, channel by channel and, of spikes, step by step; the spans of a layer follow from those of its
sources as if the elements of a source were independent of each other. So what is out of a span can never be, while
some of what is inside may never be either. ``quant.analysis.reach`` compares what frames reached with this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..ir.network import Network
from ..ir.ops import IF, Add, Conv2d, Flatten, Gain, Input, MaxPool, Node, Readout, Requant, SumPool, Synapse

__all__ = ["Clamps", "Possible", "Span", "Tests", "possible"]


class Span(NamedTuple):
    """From ``low`` to ``high``, (S, C) each: S is T where it changes over time, else 1; currents are multiples of
    ``step`` (C,) away from ``low``."""

    low: np.ndarray
    high: np.ndarray
    step: np.ndarray | None = None

    @property
    def always(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest of all time steps (C,)."""
        return self.low.min(0), self.high.max(0)


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
        found.spans[node.name] = _span(node, found, network)
        if node.source in found.totals and isinstance(node, MaxPool | SumPool | Flatten):
            found.totals[node.name] = _pooled(node, found.totals[node.source], network)
    return found


def _span(node: Node, found: Possible, network: Network) -> Span:
    if isinstance(node, Input):
        c = node.shape[0]
        return Span(np.zeros((1, c), np.int64), np.full((1, c), node.high))
    source = found.spans[node.source]
    match node:
        case Synapse():
            return _currents(node, source)
        case Gain():
            low, high = np.zeros((2, len(node.gain)), np.int64)
            inside = slice(node.offset, node.offset + source.low.shape[1])
            ends = np.stack(source.always) * node.gain[inside]
            low[inside], high[inside] = ends.min(0), ends.max(0)
            return Span(low[None], high[None], np.abs(node.gain))
        case Add():
            other = found.spans[node.other]
            assert source.step is not None and other.step is not None  # both are currents
            return Span(source.low + other.low, source.high + other.high, np.gcd(source.step, other.step))
        case Requant():
            ends = [_shifted(node, end[0]) for end in (source.low, source.high)]
            found.clamps[node.name] = _clamps(node, source, ends)
            low, high = (np.clip(end, node.lo, node.hi)[None] for end in ends)
            return Span(low, high)
        case Readout():
            terms = network.steps if network.signals[node.source].timed else 1
            return Span(source.low * terms + node.bias, source.high * terms + node.bias)
        case MaxPool() if network.signals[node.source].timed:
            # A maximum of running counts rises in any step, once a neuron of the window can have had a spike.
            low = source.low * (np.arange(len(source.low)) == 0)[:, None]
            return Span(low, np.maximum.accumulate(source.high))
    return _pooled(node, source, network)


def _pooled(node: Node, source: Span, network: Network) -> Span:
    match node:
        case SumPool():
            return Span(source.low * node.kernel**2, source.high * node.kernel**2)
        case Flatten():
            _, h, w = network.signals[node.source].shape
            return Span(source.low.repeat(h * w, 1), source.high.repeat(h * w, 1))
    return Span(source.low, source.high)


def _currents(node: Synapse, source: Span) -> Span:
    groups = node.groups if isinstance(node, Conv2d) else 1
    taps = node.weight.reshape(*node.weight.shape[:2], -1)
    positive, negative = (
        part.sum(2).reshape(groups, -1, taps.shape[1]) for part in (np.maximum(taps, 0), np.minimum(taps, 0))
    )
    low, high = source.always
    low, high = (x.reshape(groups, -1, 1) for x in (np.minimum(low, 0), np.maximum(high, 0)))  # 0 is the padding
    lowest, highest = positive @ low + negative @ high, positive @ high + negative @ low
    return Span(lowest.reshape(1, -1), highest.reshape(1, -1), np.gcd.reduce(taps.reshape(len(taps), -1), axis=1))


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


def _shifted(node: Requant, currents: np.ndarray) -> np.ndarray:
    """(I - bias) >> shift of ``currents`` (C,)."""
    x = currents - node.bias
    return (x << np.maximum(-node.shift, 0)) >> np.maximum(node.shift, 0)


def _clamps(node: Requant, source: Span, ends: list[np.ndarray]) -> Clamps:
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
