"""The network executed by plain NumPy, node by node as ``docs/network.md`` writes it: where PyTorch is not installed.

Every result of every time step is computed, with none of the golden model's shortcuts, which makes it several times as
slow and gives the golden model something to agree with. Products of matrices run in float64 as long as no partial sum
can reach 2**53, where every order of additions is exact, and in int64 beyond.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .ir.network import Network
from .ir.ops import (
    IF,
    Add,
    Conv2d,
    Flatten,
    Gain,
    Input,
    Linear,
    MaxPool,
    NetworkError,
    Node,
    Readout,
    Requant,
    SumPool,
)
from .result import Progress, Result, result_dtype, result_shape

__all__ = ["run"]

PICTURES = 64
"""Frames times time steps at once."""


def run(
    network: Network,
    frames: np.ndarray,
    *,
    batch: int | None = None,
    keep: Collection[str] | None = None,
    counts: Collection[str] = (),
    progress: Progress | None = None,
) -> Result:
    """Execute ``network`` on ``frames`` (N, C, H, W); parameters, result and errors are those of ``golden.run``."""
    frames = network.check_frames(frames)
    if batch is None:
        batch = max(1, PICTURES // network.steps)
    elif not isinstance(batch, int) or batch < 1:
        raise ValueError(f"batch must be a positive integer, not {batch!r}")
    if unknown := {*(keep or ()), *counts} - {n.name for n in network}:
        raise NetworkError(f"{min(unknown)}: no such node; there are {', '.join(n.name for n in network)}")
    last, signals = network.nodes[-1].name, network.signals
    wanted = {n.name for n in network} if keep is None else {*keep, last}
    outputs = {
        n: np.empty((len(frames), *result_shape(s, network.steps)), result_dtype(s))
        for n, s in signals.items()
        if n in wanted
    }
    numbers = {
        n: np.empty((len(frames), *s.shape), result_dtype(s, network.steps if s.timed else 1))
        for n, s in ((n, signals[n]) for n in counts)
    }
    last_use = {n.name: [s for s in network.takers if network.takers[s][-1:] == [n]] for n in network}
    for start in range(0, len(frames), batch):
        part = slice(start, start + batch)
        found: dict[str, np.ndarray] = {}
        for node in network:
            found[node.name] = _node(node, network, [found[s] for s in node.sources], frames[part])
            if node.name in wanted:
                outputs[node.name][part] = found[node.name]
            if node.name in numbers:
                magnitude = np.abs(found[node.name])
                numbers[node.name][part] = magnitude.sum(1) if signals[node.name].timed else magnitude
            for name in last_use[node.name]:
                del found[name]
        if progress:
            progress(min(start + batch, len(frames)), len(frames))
    logits = outputs[last]
    return Result({n: a for n, a in outputs.items() if keep is None or n in keep}, logits, numbers)


def _node(node: Node, network: Network, x: list[np.ndarray], frames: np.ndarray) -> np.ndarray:
    """One node on int64 arrays: (N, T, C, H, W) where there is time, else (N, C, H, W)."""
    steps = network.steps
    timed = [network.signals[source].timed for source in node.sources]
    match node:
        case Input():
            return frames.astype(np.int64)
        case Add():
            one, other = (v if t or not any(timed) else v[:, None] for v, t in zip(x, timed, strict=True))
            return one + other
        case IF():
            currents = x[0] if timed[0] else np.repeat(x[0][:, None], steps, 1)
            return _lossless(node, currents) if node.rule == "lossless" else _membranes(node, currents)
        case MaxPool() if timed[0]:
            most = _windows(x[0].cumsum(1), node.kernel, node.stride).max((-2, -1))
            return (np.diff(most, axis=1, prepend=0) > 0).astype(np.int64)
        case Readout():
            currents = x[0].sum(1) if timed[0] else x[0]
            return currents.reshape(len(currents), -1) + node.bias
    if timed[0]:
        together = _layer(node, x[0].reshape(-1, *x[0].shape[2:]))
        return together.reshape(*x[0].shape[:2], *together.shape[1:])
    return _layer(node, x[0])


def _layer(node: Node, x: np.ndarray) -> np.ndarray:
    """A node without a state on (N, C, H, W)."""
    match node:
        case Conv2d():
            return _convolution(node, x)
        case Linear():
            return _product(x.reshape(len(x), -1), node.weight)[:, :, None, None]
        case Gain():
            kept = x[:, :, :: node.stride, :: node.stride]
            y = np.zeros((len(x), len(node.gain), *kept.shape[2:]), np.int64)
            y[:, node.offset : node.offset + kept.shape[1]] = kept
            return y * _channel(node.gain)
        case Requant():
            left, right = (_channel(np.maximum(sign * node.shift, 0)) for sign in (-1, 1))
            return np.clip(((x - _channel(node.bias)) << left) >> right, node.lo, node.hi)
        case SumPool():
            return _windows(x, node.kernel, node.stride).sum((-2, -1))
        case MaxPool():
            return _windows(x, node.kernel, node.stride).max((-2, -1))
        case Flatten():
            return x.reshape(len(x), -1, 1, 1)
    raise NetworkError(f"{node.name}: the NumPy model does not know {type(node).__name__}")


def _lossless(node: IF, currents: np.ndarray) -> np.ndarray:
    """The count is the number of k in 1..T with u >= k * threshold (or >), for u does not change with k."""
    steps = currents.shape[1]
    u = node.v0.reshape(-1, *(node.v0.shape[1:] or (1, 1))) + (currents + _channel(node.bias)).sum(1)
    test = np.greater if node.strict else np.greater_equal
    count = np.zeros_like(u)
    for k in range(1, steps + 1):
        count += test(u, k * _channel(node.threshold))
    return np.stack([(t < count).astype(np.int64) for t in range(steps)], 1)


def _membranes(node: IF, currents: np.ndarray) -> np.ndarray:
    """Rules causal and signed: the membrane step by step."""
    threshold, bias = _channel(node.threshold), _channel(node.bias)
    v = np.zeros_like(currents[:, 0]) + node.v0.reshape(-1, *(node.v0.shape[1:] or (1, 1)))
    fired, spikes = np.zeros_like(v), np.empty_like(currents)
    for t in range(currents.shape[1]):
        v = v + currents[:, t] + bias
        up = v > threshold if node.strict else v >= threshold
        down = ~up & (v < 0) & (fired > 0) if node.rule == "signed" else np.zeros_like(up)
        spikes[:, t] = up.astype(np.int64) - down
        v = v - spikes[:, t] * threshold
        fired += spikes[:, t]
    return spikes


def _convolution(node: Conv2d, x: np.ndarray) -> np.ndarray:
    outputs, inputs, *kernel = node.weight.shape
    padded = np.pad(x, ((0, 0), (0, 0), (node.padding, node.padding), (node.padding, node.padding)))
    windows = sliding_window_view(padded, kernel, (2, 3))[:, :, :: node.stride, :: node.stride]
    n, _, height, width = windows.shape[:4]
    found, per_group = [], outputs // node.groups
    for g in range(node.groups):
        rows = windows[:, g * inputs : (g + 1) * inputs].transpose(0, 2, 3, 1, 4, 5).reshape(n * height * width, -1)
        weight = node.weight[g * per_group : (g + 1) * per_group].reshape(per_group, -1)
        found.append(_product(rows, weight).reshape(n, height, width, per_group))
    return np.concatenate(found, -1).transpose(0, 3, 1, 2)


def _product(rows: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """rows (n, inputs) times weight (outputs, inputs): (n, outputs), exactly."""
    most = int(np.abs(weight).sum(1).max(initial=0)) * max(int(rows.max(initial=0)), -int(rows.min(initial=0)))
    if most >= 1 << 53:
        return rows @ weight.T.astype(np.int64)
    return (rows.astype(np.float64) @ weight.T.astype(np.float64)).astype(np.int64)


def _windows(x: np.ndarray, kernel: int, stride: int) -> np.ndarray:
    return sliding_window_view(x, (kernel, kernel), (-2, -1))[..., ::stride, ::stride, :, :]


def _channel(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1, 1, 1)
