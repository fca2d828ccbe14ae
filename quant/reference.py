"""The network executed by plain NumPy, node by node (:meth:`.ir.node.Node.reference`): where PyTorch is not installed.

Every result of every time step is computed, with none of the golden model's shortcuts, which makes it several times as
slow and gives the golden model something to agree with.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from .ir.bounds import NetworkError
from .ir.network import Network
from .result import Progress, Result, result_dtype, result_of, result_shape

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
    signals = network.signals
    keep = {n.name for n in network} if keep is None else {*keep, *(n.name for n in network.maps)}
    wanted = {*keep, network.nodes[-1].name}
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
            timed = [signals[source].timed for source in node.sources]
            x = [found[source] for source in node.sources] or [frames[part]]
            found[node.name] = node.reference(x, timed, network.steps)
            if node.name in wanted:
                outputs[node.name][part] = found[node.name]
            if node.name in numbers:
                magnitude = np.abs(found[node.name])
                numbers[node.name][part] = magnitude.sum(1) if signals[node.name].timed else magnitude
            for name in last_use[node.name]:
                del found[name]
        if progress:
            progress(min(start + batch, len(frames)), len(frames))
    return result_of(network, outputs, keep, numbers)
