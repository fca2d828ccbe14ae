"""The integer network: a validated graph of nodes, the one contract between PyTorch and hardware.

A :class:`Network` that exists is a correct one: shapes, ranges and kinds are checked when it is built, and every
message names the node. :meth:`Network.signals` gives what flows out of each node, with the exact range of its
values, from which every width in the hardware is derived.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from .bounds import MOST_ELEMENTS, MOST_PARAMETERS, MOST_STEPS, integer, within
from .ops import (
    IF,
    Add,
    Conv2d,
    Flatten,
    Gain,
    Input,
    MaxPool,
    NetworkError,
    Node,
    Readout,
    Requant,
    SumPool,
    Synapse,
)

__all__ = ["Network", "NetworkError", "Signal", "signal_of"]


@dataclass(frozen=True)
class Signal:
    """What flows out of a node.

    Attributes: ``kind`` ("values", "spikes", "currents" or "logits"); ``shape`` (C, H, W); ``timed``, whether it
    differs from time step to time step; ``low`` and ``high``, the range over all inputs, of one time step.
    """

    kind: Literal["values", "spikes", "currents", "logits"]
    shape: tuple[int, int, int]
    timed: bool
    low: int
    high: int


@dataclass(frozen=True)
class Network:
    """An integer network.

    Parameters: ``nodes``, in the order of the data (every node behind its sources), the first an ``Input``, the last a
    ``Readout``, whose logits are the answer; values and spikes may be taken by several nodes, currents by one; further
    read-outs are further outputs. ``steps``, the number of time steps T (1..64; 1 for a quantised network); ``meta``,
    free strings (recipe, accuracy, origin). Raises :class:`NetworkError` naming the node and the rule.
    """

    nodes: tuple[Node, ...]
    steps: int
    meta: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "steps", integer("The network", "steps (T)", self.steps))
        if not 1 <= self.steps <= MOST_STEPS:
            raise NetworkError(f"steps (T) must be in 1..{MOST_STEPS}, not {self.steps}")
        if bad := [n for n in self.nodes if not isinstance(n, Node)]:
            raise NetworkError(f"The nodes must be nodes of spikeloom.quant.ir.ops, not {type(bad[0]).__name__}")
        if not isinstance(self.meta, dict) or not all(_is_text(v) for kv in self.meta.items() for v in kv):
            raise NetworkError("meta must be a dict of texts by text")
        if (size := sum(a.size for n in self.nodes for a in n.arrays().values())) > MOST_PARAMETERS:
            raise NetworkError(f"The network has {size:,} weights and other numbers, supported: {MOST_PARAMETERS:,}")
        if not self.nodes or not isinstance(self.nodes[0], Input):
            raise NetworkError("The first node must be an Input")
        if not isinstance(self.nodes[-1], Readout):
            raise NetworkError("The last node must be a Readout")
        before: dict[str, None] = {}
        for node in self.nodes:
            if not node.name or node.name in before:
                raise NetworkError(f"{node.name or '(no name)'}: names must be unique and not empty")
            for source in node.sources:
                if source not in before:
                    raise NetworkError(
                        f"{node.name}: its source is {source!r}, which is not among the nodes before it "
                        f"({', '.join(before)})"
                    )
            before[node.name] = None
        signals = self.signals
        for node in self.nodes:
            takers = self.takers[node.name]
            if not takers and not isinstance(node, Readout):
                raise NetworkError(f"{node.name}: no node takes its result; leave it out")
            if signals[node.name].kind == "currents" and len(takers) > 1:
                raise NetworkError(
                    f"{node.name}: its currents are taken by {', '.join(t.name for t in takers)}; currents go to one "
                    "node, values and spikes may go to several"
                )

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __getitem__(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(f"No node {name!r}; there are {', '.join(n.name for n in self.nodes)}")

    @property
    def input(self) -> Input:
        """The input node."""
        node = self.nodes[0]
        assert isinstance(node, Input)
        return node

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.signals[self.nodes[-1].name].shape[0]

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the nodes and T (not over ``meta``), 64 hexadecimal digits."""
        digest = hashlib.sha256(f"T={self.steps}".encode())
        for node in self.nodes:
            digest.update(json.dumps([type(node).__name__, node.settings()], sort_keys=True).encode())
            for key, array in sorted(node.arrays().items()):
                digest.update(f"{key}{array.shape}".encode() + array.astype("<i8").tobytes())
        return digest.hexdigest()

    @property
    def readouts(self) -> list[Readout]:
        """All read-outs; the last one gives the class."""
        return [n for n in self.nodes if isinstance(n, Readout)]

    @cached_property
    def takers(self) -> dict[str, list[Node]]:
        """The nodes that take the result of each node, by name."""
        found: dict[str, list[Node]] = {n.name: [] for n in self.nodes}
        for node in self.nodes:
            for source in dict.fromkeys(node.sources):
                found[source].append(node)
        return found

    @cached_property
    def signals(self) -> dict[str, Signal]:
        """What flows out of each node, by name; computing it checks the whole network."""
        found: dict[str, Signal] = {}
        for node in self.nodes:
            sources = [found[name] for name in node.sources]
            found[node.name] = signal_of(node, sources, self.steps)
        return found

    def check_frames(self, frames: np.ndarray) -> np.ndarray:
        """Return ``frames`` as int64 (N, C, H, W); raise NetworkError where shape, kind or range do not fit."""
        shape, high = self.input.shape, self.input.high
        try:
            frames = np.asarray(frames)
        except (ValueError, TypeError, RuntimeError) as error:  # ragged rows; tensors of other devices
            raise NetworkError(f"{self.input.name}: frames are no array of integers ({error})") from None
        if frames.ndim != 4 or frames.shape[1:] != shape:
            raise NetworkError(
                f"{self.input.name}: frames must have shape (N, {', '.join(map(str, shape))}), not {frames.shape}"
            )
        if frames.dtype.kind not in "iub":
            raise NetworkError(f"{self.input.name}: frames must be integers in 0..{high}, not {frames.dtype}")
        if frames.size and (frames.min() < 0 or frames.max() > high):
            raise NetworkError(f"{self.input.name}: pixels must be in 0..{high}, found {frames.min()}..{frames.max()}")
        return frames.astype(np.int64)

    def check_labels(self, labels: np.ndarray, where: str = "labels") -> None:
        """Raise NetworkError, which begins with ``where``, for a label (N,) that is no class of the network."""
        wrong = np.flatnonzero((labels < 0) | (labels >= self.classes))
        if len(wrong):
            k, last = int(wrong[0]), self.classes - 1
            hint = "; classes count from 0" if labels.min() == 1 and labels.max() == self.classes else ""
            raise NetworkError(
                f"{where}: label {labels[k]} of image {k} is no class of the network, whose classes are 0..{last}{hint}"
            )


def _is_text(value: object) -> bool:
    """Whether ``value`` is text that can be written: half of a letter, as some encodings have, cannot."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def _need(node: Node, source: Signal, *kinds: str) -> None:
    if source.kind not in kinds:
        raise NetworkError(
            f"{node.name}: {type(node).__name__} takes {' or '.join(kinds)}, but {node.source} gives {source.kind}"
        )


def _channels(node: Node, array: np.ndarray, source: Signal) -> None:
    if array.shape[0] != source.shape[0]:
        raise NetworkError(f"{node.name}: has {array.shape[0]} channels, but {node.source} gives {source.shape[0]}")


def _windows(node: Node, size: tuple[int, int], kernel: tuple[int, int], stride: int, padding: int) -> tuple[int, int]:
    if any(k > n + 2 * padding for k, n in zip(kernel, size, strict=True)):
        raise NetworkError(
            f"{node.name}: kernel {kernel[0]}x{kernel[1]} is larger than its input {size[0]}x{size[1]} "
            f"(padding {padding})"
        )
    high, wide = ((n + 2 * padding - k) // stride + 1 for k, n in zip(kernel, size, strict=True))
    return high, wide


def _current_range(weight: np.ndarray, source: Signal) -> tuple[int, int]:
    """Lowest and highest current of any output over all inputs (and all partial sums)."""
    w = weight.reshape(weight.shape[0], -1)
    sums = list(zip(np.maximum(w, 0).sum(1).tolist(), np.minimum(w, 0).sum(1).tolist(), strict=True))
    low, high = min(source.low, 0), max(source.high, 0)
    return min(pos * low + neg * high for pos, neg in sums), max(pos * high + neg * low for pos, neg in sums)


def _check_bounds(node: Node, sources: list[Signal], signal: Signal, steps: int) -> None:
    """Refuse a node that gives, or needs inside, numbers beyond the bounds of a network (``docs/network.md``)."""
    if (size := math.prod(signal.shape)) > MOST_ELEMENTS:
        raise NetworkError(f"{node.name}: gives {size:,} numbers a frame, supported: {MOST_ELEMENTS:,}; cut the images")
    times = steps if signal.timed else 1
    over = " over all time steps" if times > 1 else ""
    within(node.name, f"the range of its {signal.kind}{over}", signal.low * times, signal.high * times)
    if not isinstance(node, IF | Requant):
        return
    # In 64 bits: a network's numbers are up to 2^48, and the sums below hold no more than 200 of them.
    current = max(-sources[0].low, sources[0].high)
    if isinstance(node, IF):
        start = np.abs(node.v0).reshape(len(node.v0), -1).max(1)
        reach = start + steps * (current + np.abs(node.bias) + node.threshold)
        what = "what its membrane can reach, |v0| + T * (|I| + |bias| + threshold),"
    else:
        reach = (current + np.abs(node.bias)) << np.maximum(-node.shift, 0)
        what = "what it shifts to the left, |I| + |bias|,"
    worst = int(reach.argmax())
    within(node.name, f"{what} in channel {worst}", 0, int(reach[worst]))


def _add(node: Add, one: Signal, other: Signal) -> Signal:
    for name, signal in zip(node.sources, (one, other), strict=True):
        if signal.kind != "currents":
            raise NetworkError(
                f"{node.name}: Add takes currents, but {name} gives {signal.kind}; an identity shortcut is a Gain node"
            )
    if one.shape != other.shape:
        raise NetworkError(f"{node.name}: adds shapes {one.shape} ({node.source}) and {other.shape} ({node.other})")
    return Signal("currents", one.shape, one.timed or other.timed, one.low + other.low, one.high + other.high)


def signal_of(node: Node, sources: list[Signal], steps: int) -> Signal:
    """What flows out of ``node`` where ``sources`` flow in. Raises NetworkError where they do not fit, or where numbers
    go beyond the bounds of a network."""
    found = _signal(node, sources, steps)
    _check_bounds(node, sources, found, steps)
    return found


def _signal(node: Node, sources: list[Signal], steps: int) -> Signal:
    if isinstance(node, Input):
        return Signal("values", node.shape, False, 0, node.high)
    if not sources:
        raise NetworkError(f"{node.name}: only the first node may be an Input")
    if isinstance(node, Add):
        return _add(node, *sources)
    source = sources[0]
    c, h, w = source.shape
    match node:
        case Synapse():
            _need(node, source, "values", "spikes")
            if isinstance(node, Conv2d):
                if node.weight.shape[1] * node.groups != c:
                    of_groups = f" in {node.groups} groups" if node.groups > 1 else ""
                    raise NetworkError(
                        f"{node.name}: its kernels have {node.weight.shape[1]} channels{of_groups}, but {node.source} "
                        f"gives {c}"
                    )
                rows, columns = _windows(node, (h, w), node.weight.shape[2:], node.stride, node.padding)
            else:
                if (h, w) != (1, 1):
                    raise NetworkError(
                        f"{node.name}: Linear takes a vector, but {node.source} gives {c}x{h}x{w}; "
                        "put a Flatten before it"
                    )
                if node.weight.shape[1] != c:
                    raise NetworkError(
                        f"{node.name}: its weights have {node.weight.shape[1]} inputs, but {node.source} gives {c}"
                    )
                rows = columns = 1
            return Signal(
                "currents", (len(node.weight), rows, columns), source.timed, *_current_range(node.weight, source)
            )
        case Gain():
            _need(node, source, "values", "spikes")
            gains = int(node.gain.min()), int(node.gain.max())
            ends = [0, *(gain * end for gain in gains for end in (source.low, source.high))]
            size = (-(-h // node.stride), -(-w // node.stride))
            if node.offset + c > len(node.gain):
                raise NetworkError(
                    f"{node.name}: has {len(node.gain)} channels, too few for the {c} of {node.source} from channel "
                    f"{node.offset} on"
                )
            return Signal("currents", (len(node.gain), *size), source.timed, min(ends), max(ends))
        case IF():
            _need(node, source, "currents")
            _channels(node, node.threshold, source)
            if node.v0.ndim == 3 and node.v0.shape != source.shape:
                raise NetworkError(f"{node.name}: v0 has shape {node.v0.shape}, but the neurons {source.shape}")
            return Signal("spikes", source.shape, True, -1 if node.rule == "signed" else 0, 1)
        case Requant():
            _need(node, source, "currents")
            _channels(node, node.bias, source)
            if source.timed or steps != 1:
                raise NetworkError(
                    f"{node.name}: Requant works on values with T = 1, but here the currents of "
                    f"{node.source} meet T = {steps}; use IF neurons, or a network with steps = 1"
                )
            return Signal("values", source.shape, False, node.lo, node.hi)
        case SumPool() | MaxPool():
            _need(node, source, "values", "spikes")
            size = _windows(node, (h, w), (node.kernel, node.kernel), node.stride, 0)
            if isinstance(node, MaxPool):
                if source.kind == "spikes" and (source.low, source.high) != (0, 1):
                    raise NetworkError(
                        f"{node.name}: MaxPool on spikes takes single spikes, 0 or 1, but {node.source} gives "
                        f"{source.low}..{source.high}"
                    )
                return Signal(source.kind, (c, *size), source.timed, source.low, source.high)
            area = node.kernel**2
            return Signal(source.kind, (c, *size), source.timed, source.low * area, source.high * area)
        case Flatten():
            _need(node, source, "values", "spikes")
            return Signal(source.kind, (c * h * w, 1, 1), source.timed, source.low, source.high)
        case Readout():
            _need(node, source, "currents", "values")
            _channels(node, node.bias, source)
            if (h, w) != (1, 1):
                raise NetworkError(f"{node.name}: Readout takes a vector, but {node.source} gives {c}x{h}x{w}")
            terms = steps if source.timed else 1
            return Signal(
                "logits",
                source.shape,
                False,
                source.low * terms + int(node.bias.min()),
                source.high * terms + int(node.bias.max()),
            )
    raise NetworkError(f"{node.name}: {type(node).__name__} is not supported")
