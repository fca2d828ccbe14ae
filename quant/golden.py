"""The golden model: the integer network executed by PyTorch, in batches and exactly.

Floating point is used where it cannot round: a sum of integer products is exact in any order as long as every partial
sum stays below 2**24 (float32) or 2**53 (float64). :func:`exact_dtype` picks the type from the bound
max over outputs of sum|w| * max|x|; beyond both, the layer runs in int64. Biases and thresholds are added in integers,
outside that sum. Convolution algorithms that transform their input (Winograd, FFT) and reduced-precision matrix
products would break the argument, so :func:`exact_math` switches the libraries off that may choose them: NNPACK always,
oneDNN where it is not known to convolve directly.

Where nobody asks for the single time steps of a result (``lossless`` neurons and the read-out add them up), only its
sum over time is computed, which saves nearly T times the work. Synapses, gains, sums and ``SumPool`` are linear;
``MaxPool`` gives as many spikes as the busiest neuron of the window.
"""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

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
from .ir.signal import Signal
from .result import Progress, Result, classes_over_time, result_dtype, result_shape

__all__ = ["Result", "accuracy", "classes_over_time", "exact_dtype", "exact_math", "run"]

PICTURES = 256
"""Frames times time steps at once. Many more do not fit the cache, and memory has to be fetched anew for each layer:
with 64 steps of a ResNet-20, 32 frames at once took 1.8 times as long as 4."""


def exact_dtype(bound: int) -> torch.dtype:
    """The fastest type in which integer sums are exact whose partial sums never exceed ``bound`` in magnitude."""
    return torch.float32 if bound < 1 << 24 else torch.float64 if bound < 1 << 53 else torch.int64


@contextmanager
def exact_math() -> Iterator[None]:
    """Within it, float convolutions and products on the CPU are plain sums of products, in full precision."""
    direct = torch.backends.mkldnn.enabled and _onednn_is_direct()
    with torch.backends.nnpack.flags(enabled=False), _onednn(direct), torch.no_grad():
        yield


@contextmanager
def _onednn(enabled: bool) -> Iterator[None]:
    """oneDNN, if ``enabled``, in full precision."""
    onednn: Any = torch.backends.mkldnn
    kinds = onednn.conv, onednn.matmul
    before = onednn.enabled, [kind.fp32_precision for kind in kinds]
    try:
        onednn.enabled = enabled
        for kind in kinds:
            kind.fp32_precision = "ieee"
        yield
    finally:
        onednn.enabled = before[0]
        for kind, precision in zip(kinds, before[1], strict=True):
            kind.fp32_precision = precision


@functools.cache
def _onednn_is_direct() -> bool:
    """Whether oneDNN, several times as fast as PyTorch's own loops, may be used. PyTorch asks it for direct
    convolutions; other processors than x86 may do as they like, its environment can lower the precision of them all;
    and a trial has to find sums close to 2^24, of which a transform or a shorter number would lose the last bits."""
    modes = {os.environ.get(f"{name}_DEFAULT_FPMATH_MODE", "STRICT").upper() for name in ("ONEDNN", "DNNL")}
    if platform.machine().lower() not in ("x86_64", "amd64") or modes != {"STRICT"}:
        return False
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (4, 16, 12, 12), generator=generator).float()
    top = (1 << 24) // (255 * 16 * 9)
    weight = torch.randint(-top, top + 1, (32, 16, 3, 3), generator=generator).float()
    with torch.no_grad():
        with _onednn(True):
            found = F.conv2d(x, weight, padding=1)
        with _onednn(False):
            want = F.conv2d(x.double(), weight.double(), padding=1)
    return torch.equal(found.double(), want)


def run(
    network: Network,
    frames: np.ndarray,
    *,
    batch: int | None = None,
    keep: Collection[str] | None = None,
    counts: Collection[str] = (),
    progress: Progress | None = None,
) -> Result:
    """Execute ``network`` on ``frames``, integers of shape (N, C, H, W), ``batch`` frames at a time, by default so many
    that it goes fast.

    ``keep`` names the nodes whose results are wanted (all of them by default; the logits are always there), ``counts``
    those whose magnitudes summed over time are.
    ``progress`` is called with (frames done, all frames). Raises NetworkError where the frames do not fit.
    """
    frames = network.check_frames(frames)
    if batch is None:
        batch = max(1, PICTURES // network.steps) if any(s.timed for s in network.signals.values()) else PICTURES
    elif not isinstance(batch, int) or batch < 1:
        raise ValueError(f"batch must be a positive integer, not {batch!r}")
    if unknown := {*(keep or ()), *counts} - {n.name for n in network}:
        raise NetworkError(f"{min(unknown)}: no such node; there are {', '.join(n.name for n in network)}")
    last = network.nodes[-1].name
    wanted = {n.name for n in network} if keep is None else {*keep, last}
    outputs = {
        n: np.empty((len(frames), *result_shape(s, network.steps)), result_dtype(s))
        for n, s in network.signals.items()
        if n in wanted
    }
    numbers = {
        n: np.empty((len(frames), *s.shape), result_dtype(s, network.steps if s.timed else 1))
        for n, s in ((n, network.signals[n]) for n in counts)
    }
    # The magnitudes of spikes of both signs are not to be had from their sum.
    summed = _summed(network, wanted | {n for n in counts if network.signals[n].low < 0})
    last_use = {n.name: [s for s in network.takers if network.takers[s][-1:] == [n]] for n in network}
    with exact_math():
        for start in range(0, len(frames), batch):
            found = {network.input.name: torch.from_numpy(frames[start : start + batch])}
            for node in network:
                found[node.name] = _step(node, found, network, summed)
                if node.name in wanted:
                    outputs[node.name][start : start + batch] = found[node.name].numpy()
                if node.name in numbers:
                    timed = network.signals[node.name].timed and node.name not in summed
                    number = found[node.name].abs().sum(1) if timed else found[node.name].abs()
                    numbers[node.name][start : start + batch] = number.numpy()
                for name in last_use[node.name]:
                    del found[name]
            if progress:
                progress(min(start + batch, len(frames)), len(frames))
    logits = outputs[last]
    return Result({n: a for n, a in outputs.items() if keep is None or n in keep}, logits, numbers)


def accuracy(
    network: Network,
    frames: np.ndarray,
    labels: np.ndarray,
    *,
    batch: int | None = None,
    progress: Progress | None = None,
) -> float:
    """The share of ``frames`` (0..1) whose class is the one in ``labels`` (N,)."""
    labels = np.asarray(labels)
    if labels.shape != (len(frames),) or not len(labels):
        raise NetworkError(f"labels must have shape ({len(frames)},), at least one, not {labels.shape}")
    network.check_labels(labels)
    return float((run(network, frames, batch=batch, keep=(), progress=progress).classes == labels).mean())


def _summed(network: Network, wanted: Collection[str]) -> set[str]:
    """The nodes of which the sum over time is enough: not ``wanted`` themselves, and all who take them add it up."""
    found: set[str] = set()
    for node in reversed(network.nodes):
        takers = network.takers[node.name]
        enough = all(taker.adds_up or (taker.passes_sums and taker.name in found) for taker in takers)
        if network.signals[node.name].timed and node.name not in wanted and enough:
            found.add(node.name)
    return found


def _step(node: Node, found: dict[str, Tensor], network: Network, summed: set[str]) -> Tensor:
    """One node on tensors of integers: int64, but for spikes (int8) and sums below 2^24 (int32); time, where there is
    any, is the second axis, unless the node is in ``summed``."""
    if isinstance(node, Input):
        return found[node.name]
    signals, steps = network.signals, network.steps

    def total(name: str) -> Tensor:
        if name in summed:
            return found[name]
        return found[name].sum(1) if signals[name].timed else steps * found[name]

    x, source = found[node.source], signals[node.source]
    match node:
        case Add() if node.name in summed:
            return total(node.source) + total(node.other)
        case Add():
            y = found[node.other]
            if source.timed != signals[node.other].timed:
                x, y = (v if s.timed else v[:, None] for v, s in ((x, source), (y, signals[node.other])))
            narrow = max(-signals[node.name].low, signals[node.name].high) < 1 << 24  # then 32 bits, see _fire
            return x + y if narrow else x.long() + y
        case IF(rule="lossless"):
            count = _count(node, total(node.source), steps)
            return count if node.name in summed else (torch.arange(steps).view(-1, 1, 1, 1) < count[:, None]).long()
        case IF():
            spikes = _fire(node, x if source.timed else x[:, None].expand(-1, steps, -1, -1, -1), steps)
            return spikes.sum(1) if node.name in summed else spikes
        case Readout():
            x = total(node.source) if source.timed else x
            return x.flatten(1) + torch.from_numpy(node.bias.copy())
        case MaxPool() if source.timed and node.name not in summed:
            most = _windows(x.cumsum(1), node.kernel, node.stride).amax((-2, -1))
            return most - F.pad(most, (0, 0, 0, 0, 0, 0, 1, 0))[:, :-1]
    if node.name in summed:
        low, high = steps * source.low, steps * source.high
        return _layer(node, total(node.source), Signal(source.kind, source.shape, False, low, high))
    if source.timed:
        return _layer(node, x.flatten(0, 1), source).unflatten(0, x.shape[:2])
    return _layer(node, x, source)


def _layer(node: Node, x: Tensor, source: Signal) -> Tensor:
    """A layer with one source and without a state, on values or on the spikes of one time step: ``x`` (N, C, H, W)."""
    match node:
        case Conv2d() | Linear():
            weight = torch.from_numpy(node.weight.copy())
            most = int(np.abs(node.weight).reshape(len(node.weight), -1).sum(1).max()) * max(-source.low, source.high)
            if isinstance(node, Linear):
                return synapse(x, weight[:, :, None, None], 1, 0, exact_dtype(most))
            return synapse(x, weight, node.stride, node.padding, exact_dtype(most), node.groups)
        case Gain():
            after = len(node.gain) - node.offset - source.shape[0]
            x = F.pad(x[..., :: node.stride, :: node.stride], (0, 0, 0, 0, node.offset, after))
            return x * _channel(node.gain).int()  # of spikes (int8) below 2^24; all else is wider, and stays so
        case Requant():
            x = x - _channel(node.bias)
            shift = _channel(node.shift)
            x = (x << (-shift).clamp(min=0)) >> shift.clamp(min=0)
            return x.clamp(node.lo, node.hi)
        case SumPool():
            return _windows(x, node.kernel, node.stride).sum((-2, -1))
        case MaxPool():
            return _windows(x, node.kernel, node.stride).amax((-2, -1))
        case Flatten():
            return x.reshape(len(x), -1, 1, 1)
    raise NetworkError(f"{node.name}: the golden model does not know {type(node).__name__}")


def _channel(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.copy()).view(-1, 1, 1)


def _windows(x: Tensor, kernel: int, stride: int) -> Tensor:
    return x.unfold(-2, kernel, stride).unfold(-2, kernel, stride)


def synapse(x: Tensor, weight: Tensor, stride: int, padding: int, dtype: torch.dtype, groups: int = 1) -> Tensor:
    """Convolve integers ``x`` (N, Ci, H, W) with ``weight`` (Co, Ci / groups, Ky, Kx), computing in ``dtype``; the
    result is int32 for float32, whose sums are below 2^24, else int64."""
    if dtype is not torch.int64:
        x = x.to(dtype, memory_format=torch.channels_last)
        y = F.conv2d(x, weight.to(dtype), stride=stride, padding=padding, groups=groups)
        return y.to(torch.int32 if dtype is torch.float32 else torch.int64, memory_format=torch.contiguous_format)
    if groups > 1:
        parts = zip(x.chunk(groups, 1), weight.chunk(groups), strict=True)
        return torch.cat([synapse(a, w, stride, padding, dtype) for a, w in parts], 1)
    co, _, ky, kx = weight.shape
    taps = F.pad(x.long(), (padding,) * 4).unfold(2, ky, stride).unfold(3, kx, stride).permute(0, 2, 3, 1, 4, 5)
    return (taps.reshape(*taps.shape[:3], -1) @ weight.view(co, -1).T).permute(0, 3, 1, 2)


def _membrane(node: IF) -> Tensor:
    return torch.from_numpy(node.v0.copy()) if node.v0.ndim == 3 else _channel(node.v0)


def _count(node: IF, total: Tensor, steps: int) -> Tensor:
    """Spikes (N, C, H, W) of lossless neurons, from the sum of their currents over time."""
    u, threshold = _membrane(node) + total + steps * _channel(node.bias), _channel(node.threshold)
    fires = torch.gt if node.strict else torch.ge
    count = torch.zeros_like(u)
    for k in range(1, steps + 1):
        count += fires(u, k * threshold)
    return count


def _fire(node: IF, current: Tensor, steps: int) -> Tensor:
    """Spikes (N, T, C, H, W) of causal and signed neurons."""
    threshold, bias, v = _channel(node.threshold), _channel(node.bias), _membrane(node)
    if current.dtype == torch.int32 and max(int(x.abs().max()) for x in (threshold, bias, v)) < 1 << 23:
        # Currents are below 2^24 then, and 64 steps of them below 2^31 with all the rest.
        threshold, bias, v = threshold.int(), bias.int(), v.int()
    fires = torch.gt if node.strict else torch.ge
    v = v.expand_as(current[:, 0]).clone()
    spikes, count = torch.empty(current.shape, dtype=torch.int8), torch.zeros(v.shape, dtype=torch.int8)
    for t in range(steps):
        v += current[:, t]
        v += bias
        now = fires(v, threshold)
        if node.rule == "signed":
            now = now.char() - ((v < 0) & (count > 0)).char()
            count += now
        spikes[:, t] = now
        v -= now * threshold
    return spikes
