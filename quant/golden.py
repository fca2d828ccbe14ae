"""The golden model: the integer network executed by PyTorch, in batches and exactly.

What a node computes is its kernel's (``quant.kernels``), which uses floating point where it cannot round
(``quant.kernels.exact``); here is the order, and what is kept.

Where nobody asks for the single time steps of a result (``lossless`` neurons and the read-out add them up), only its
sum over time is computed, which saves nearly T times the work: wherever a node passes sums
(:class:`quant.ir.node.Node`).
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from .ir.bounds import NetworkError
from .ir.network import Network
from .kernels.exact import exact_dtype, exact_math
from .kernels.registry import Inputs, compute
from .result import Progress, Result, classes_over_time, result_dtype, result_of, result_shape

__all__ = ["Result", "accuracy", "classes_over_time", "exact_dtype", "exact_math", "run"]

PICTURES = 256
"""Frames times time steps at once. Many more do not fit the cache, and memory has to be fetched anew for each layer:
with 64 steps of a ResNet-20, 32 frames at once took 1.8 times as long as 4."""


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

    ``keep`` names the nodes whose results are wanted (all of them by default; the logits and maps are always there),
    ``counts`` those whose magnitudes summed over time are.
    ``progress`` is called with (frames done, all frames). Raises NetworkError where the frames do not fit.
    """
    frames = network.check_frames(frames)
    if batch is None:
        batch = max(1, PICTURES // network.steps) if any(s.timed for s in network.signals.values()) else PICTURES
    elif not isinstance(batch, int) or batch < 1:
        raise ValueError(f"batch must be a positive integer, not {batch!r}")
    if unknown := {*(keep or ()), *counts} - {n.name for n in network}:
        raise NetworkError(f"{min(unknown)}: no such node; there are {', '.join(n.name for n in network)}")
    keep = {n.name for n in network} if keep is None else {*keep, *(n.name for n in network.maps)}
    wanted = {*keep, network.nodes[-1].name}
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
            found: dict[str, Tensor] = {}
            pixels = torch.from_numpy(frames[start : start + batch])
            for node in network:
                inputs = Inputs(
                    tuple(found[source] for source in node.sources) or (pixels,),
                    tuple(network.signals[source] for source in node.sources),
                    tuple(source in summed for source in node.sources),
                    network.signals[node.name],
                    node.name in summed,
                    network.steps,
                )
                found[node.name] = compute(node, inputs)
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
    return result_of(network, outputs, keep, numbers)


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
