"""What frames reached of a network: values, both ways of every test, clamps, and whether a constant moved by one would
have shown. It is computed from the results of the golden model alone.

A word of the hardware is only as good as the frames that were compared: a threshold that no membrane came near may be
any other number. :class:`Reach` collects, from one batch of frames after the other, which branches were taken; what
``quant.analysis.possible`` derives that no frame can take is told apart from what these frames did not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..ir.network import Network
from ..ir.ops import IF, Add, Input, MaxPool, Node, Readout, Requant, SumPool, Synapse
from .branches import Branches, Near
from .possible import Possible, possible
from .reach_geometry import edges, taps, winners, zero_windows
from .reach_neurons import observe

__all__ = ["Branches", "NodeReach", "Reach"]

VALUES = 1024
"""Ranges of at most so many values are looked at value by value."""

CELLS = 1 << 15
"""Neurons at once, of as many frames as that takes: they stay in the cache."""


@dataclass(eq=False)
class NodeReach:
    """What was reached at a node.

    Attributes: ``branches`` by kind (``docs/regression.md``); ``low`` and ``high`` (C,), the values that appeared, and
    ``span`` (2, C), what can; ``near``, of neurons; ``windows``, of synapses: all-zero ones, and all.
    """

    branches: dict[str, Branches]
    span: np.ndarray
    low: np.ndarray
    high: np.ndarray
    near: Near | None = None
    windows: tuple[int, int] = (0, 0)


@dataclass(eq=False)
class Reach:
    """What frames reached of ``network``; ``counted`` names the nodes of whose spikes only the sum over time is
    compared.

    Attributes: ``frames``, their number; ``nodes``, by name.
    """

    network: Network
    counted: Collection[str] = ()
    frames: int = 0
    nodes: dict[str, NodeReach] = field(init=False)

    def __post_init__(self) -> None:
        derived = possible(self.network)
        self.nodes = {}
        self._active = {n: np.zeros(s.shape, bool) for n, s in self.network.signals.items() if s.kind != "logits"}
        for node in self.network:
            spans = derived.totals if node.name in self.counted else derived.spans
            span = np.stack(spans[node.name].always)
            can = {kind: np.ascontiguousarray(x) for kind, x in _can(node, self.network, derived, self.counted)}
            branches = {kind: Branches(np.zeros_like(x), x) for kind, x in can.items()}
            near = Near.none(*can["tests"].shape[1:]) if isinstance(node, IF) else None
            self.nodes[node.name] = NodeReach(branches, span, span[1].copy(), span[0].copy(), near)

    def add(self, outputs: Mapping[str, np.ndarray]) -> None:
        """Take the results of the golden model for some frames in, those of all nodes (``golden.Result.outputs``)."""
        count = len(outputs[self.network.input.name])
        most = max(int(np.prod(signal.shape)) for signal in self.network.signals.values())
        size = max(1, CELLS // most)
        for start in range(0, count, size):
            part = {name: x[start : start + size] for name, x in outputs.items()}
            for node in self.network:
                self._add(node, part)
        self.frames += count
        for node in self.network:
            if isinstance(node, Synapse):
                self._inputs(node)

    def merge(self, other: Reach) -> None:
        """Take in what ``other`` of the same network has of other frames."""
        self.frames += other.frames
        for name, mine in self.nodes.items():
            theirs = other.nodes[name]
            for kind, branches in mine.branches.items():
                branches.seen |= theirs.branches[kind].seen
            np.minimum(mine.low, theirs.low, out=mine.low)
            np.maximum(mine.high, theirs.high, out=mine.high)
            if mine.near is not None and theirs.near is not None:
                mine.near.take(theirs.near.above, theirs.near.below)
            mine.windows = mine.windows[0] + theirs.windows[0], mine.windows[1] + theirs.windows[1]

    def _add(self, node: Node, outputs: Mapping[str, np.ndarray]) -> None:
        found, x = self.nodes[node.name], outputs[node.name]
        branches = found.branches
        if isinstance(node, IF):
            assert found.near is not None
            current = outputs[node.source]
            counts = observe(node, current, x, self.network.steps, node.name in self.counted, branches, found.near)
            counted = node.name in self.counted
            low, high = self._range(node, counts if counted else x)
            if counted and "values" in branches:
                _values(counts, branches["values"], low, high, found.span)
            return
        if isinstance(node, Readout):
            _answers(x, branches)
        if node.name in self.counted:
            x = x.sum(1)
        low, high = self._range(node, x)
        if "values" in branches:
            _values(x, branches["values"], low, high, found.span)
        match node:
            case Add():
                _addends(branches["addends"], [outputs[name] for name in node.sources])
            case Requant():
                _clamps(node, outputs[node.source], branches)
            case MaxPool() if not branches["winners"].done:
                source = outputs[node.source]
                if source.ndim == 5:
                    source = source.sum(1) if node.name in self.counted else source.cumsum(1)
                branches["winners"].seen |= winners(node.windows, source if source.ndim == 5 else source[:, None])
            case Synapse():
                source = outputs[node.source]
                zero, windows = zero_windows(node.windows, source, self.network.signals[node.name].shape)
                found.windows = found.windows[0] + zero, found.windows[1] + windows

    def _range(self, node: Node, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest over the frames, by neuron."""
        found, low, high = self.nodes[node.name], x.min(0), x.max(0)
        if node.name in self._active:
            active = (low != 0) | (high != 0)
            self._active[node.name] |= active if active.ndim == 3 else active.any(0)
            ends = low if low.ndim == 3 else low.min(0), high if high.ndim == 3 else high.max(0)
            np.minimum(found.low, ends[0].min((1, 2)), out=found.low)
            np.maximum(found.high, ends[1].max((1, 2)), out=found.high)
        else:
            np.minimum(found.low, low, out=found.low)
            np.maximum(found.high, high, out=found.high)
        return low, high

    def _inputs(self, node: Synapse) -> None:
        """Which weights met an input other than 0, and over which edges a window had one."""
        active, branches = self._active[node.source], self.nodes[node.name].branches
        if not branches["inputs"].done:
            branches["inputs"].seen |= taps(node.windows, active)
        if "padding" in branches and not branches["padding"].done:
            branches["padding"].seen |= edges(node.windows, active)


def _can(
    node: Node, network: Network, derived: Possible, counted: Collection[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """The kinds of branches of ``node``, and which of them can be."""
    span = derived.totals[node.name] if node.name in counted else derived.spans[node.name]
    low, high = span.low, span.high
    valued = isinstance(node, Input | Requant | MaxPool | SumPool) or (isinstance(node, IF) and node.name in counted)
    if valued and (size := int(high.max() - low.min()) + 1) <= VALUES:
        values = low.min() + np.arange(size)[:, None, None]
        yield "values", (values >= low) & (values <= high)
    match node:
        case IF():
            tests = derived.tests[node.name]
            yield "tests", tests.ways
            yield "thresholds", tests.moves
            if node.rule == "signed":
                yield "dips", tests.dips
        case Requant():
            yield "clamps", derived.clamps[node.name].parts
            yield "biases", derived.clamps[node.name].moves
        case Add():
            ends = [derived.spans[name].always for name in node.sources]
            yield "addends", np.stack([x for a, b in ends for x in ((a <= 0) & (b >= 0), (a < 0) | (b > 0))])
        case MaxPool():
            can = np.any(high > low, axis=0) if node.kernel > 1 else np.zeros(high.shape[1], bool)
            yield "winners", np.broadcast_to(can, (node.kernel**2, len(can)))
        case Readout():
            yield "answers", _winning(low[0], high[0])
            below, above = np.maximum.accumulate(low[0])[:-1], np.maximum.accumulate(high[0])[:-1]
            yield "comparisons", np.stack([low[0, 1:] <= above, high[0, 1:] > below])
            yield "ties", ((low[0, 1:] <= above) & (high[0, 1:] >= below))[None]
        case Synapse():
            a, b = derived.spans[node.source].always
            shape = network.signals[node.source].shape
            active = np.broadcast_to(((a < 0) | (b > 0))[:, None, None], shape)
            yield "inputs", taps(node.windows, active)
            if node.windows.padding:
                yield "padding", edges(node.windows, active)


def _winning(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Which classes can be the answer (1, C): none before it is at least as high for sure, none behind it higher."""
    can = [
        all(high[c] > low[k] for k in range(c)) and all(high[c] >= low[k] for k in range(c + 1, len(low)))
        for c in range(len(low))
    ]
    return np.array([can])


def _answers(logits: np.ndarray, branches: Mapping[str, Branches]) -> None:
    branches["answers"].seen[0, np.unique(logits.argmax(1))] = True
    best = np.maximum.accumulate(logits, axis=1)[:, :-1]
    wins, ties = (logits[:, 1:] > best).any(0), (logits[:, 1:] == best).any(0)
    branches["comparisons"].seen |= np.stack([(logits[:, 1:] <= best).any(0), wins])
    branches["ties"].seen |= ties


def _values(x: np.ndarray, values: Branches, low: np.ndarray, high: np.ndarray, span: np.ndarray) -> None:
    """Note the values of ``x``, (N, C, H, W) or (N, T, C, H, W), with its extremes over the frames."""
    if values.done:
        return
    size, first = len(values.seen), int(span[0].min())
    if x.ndim == 4:
        x, low, high = x[:, None], low[None], high[None]
    if size <= 2:
        for k in range(size):
            values.seen[k] |= ((low == first + k) | (high == first + k)).any((2, 3))
        return
    steps, channels = values.seen.shape[1:]
    rows = np.arange(steps * channels).reshape(steps, channels, 1, 1) * size - first
    counts = np.bincount((x + rows).reshape(-1), minlength=size * steps * channels)
    values.seen |= (counts.reshape(steps, channels, size) > 0).transpose(2, 0, 1)


def _addends(branches: Branches, addends: list[np.ndarray]) -> None:
    if branches.done:
        return
    for k, x in enumerate(addends):
        zero = x == 0
        axes = (0, *range(1, x.ndim - 3), x.ndim - 2, x.ndim - 1)
        branches.seen[2 * k] |= zero.any(axes)
        branches.seen[2 * k + 1] |= ~zero.all(axes)


def _clamps(node: Requant, currents: np.ndarray, branches: Mapping[str, Branches]) -> None:
    """The parts of the range, and the biases that show when they are moved by one."""
    if branches["clamps"].done and branches["biases"].done:
        return
    left, right = (np.maximum(x, 0)[:, None, None] for x in (-node.shift, node.shift))
    x = currents.astype(np.int64) - node.bias[:, None, None]
    y = (x << left) >> right
    parts = branches["clamps"].seen
    for k, part in enumerate((y < node.lo, (y >= node.lo) & (y <= node.hi), y > node.hi)):
        parts[k] |= part.any((0, 2, 3))
    y = y.clip(node.lo, node.hi)
    for k, move in enumerate((-1, 1)):  # a higher bias takes more off
        moved = (((x + move) << left) >> right).clip(node.lo, node.hi)
        branches["biases"].seen[k] |= (moved != y).any((0, 2, 3))
