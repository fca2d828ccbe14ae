"""What the execution of a network gives, whoever executed it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from .ir.bounds import NetworkError
from .ir.network import Network
from .ir.ops import Readout
from .ir.signal import Signal

__all__ = ["Progress", "Result", "classes_over_time", "result_dtype", "result_of", "result_shape"]

Progress = Callable[[int, int], None]
"""Called with (frames done, all frames)."""


@dataclass(frozen=True)
class Result:
    """What a network computed.

    Attributes: ``outputs``, the result of every node asked for, by name, int32 (int64 where its range needs it):
    values, constant currents and maps (N, C, H, W), spikes and timed currents (N, T, C, H, W), logits (N, C);
    ``logits``, those of the last readout, (N, 0) where the network tells no classes; ``counts``, of the
    nodes asked for the spikes of all time steps together, negative ones counted like the others, (N, C, H, W);
    ``classes`` (N,), the index of the largest logit, the lowest one on ties.
    """

    outputs: dict[str, np.ndarray]
    logits: np.ndarray
    counts: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def classes(self) -> np.ndarray:
        """The class of every frame (N,). Raises NetworkError where the network tells none."""
        if not self.logits.shape[1]:
            raise NetworkError(f"the network tells no classes; its results are {', '.join(self.outputs)}")
        return self.logits.argmax(1)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.outputs[name]


def result_of(
    network: Network, found: Mapping[str, np.ndarray], keep: Collection[str], counts: dict[str, np.ndarray]
) -> Result:
    """The :class:`Result` of what was ``found`` by node, with that of the nodes to ``keep``."""
    outputs, logits = {n: a for n, a in found.items() if n in keep}, found[network.nodes[-1].name]
    return Result(outputs, logits if network.classifies else np.zeros((len(logits), 0), np.int32), counts)


def classes_over_time(network: Network, currents: np.ndarray) -> np.ndarray:
    """The class of every frame after each time step t = 1..T, shape (N, T), from the result of the readout's source.

    The readout's bias stands for all T steps, so t steps get t/T of it: argmax of T * sum_(1..t) I + t * bias.
    It means something for causal neurons; lossless ones know the answer before their first spike. (N, 0) where the
    network tells no classes.
    """
    if not network.classifies:
        return np.zeros((len(currents), 0), np.int64)
    readout, got = network.nodes[-1], currents.astype(np.int64)
    assert isinstance(readout, Readout)
    source = network.signals[readout.source]
    if not source.timed:
        return (got.reshape(len(got), 1, -1) + readout.bias).argmax(2).repeat(network.steps, 1)
    steps = np.arange(1, network.steps + 1)[None, :, None]
    return (network.steps * got.reshape(len(got), -1, source.shape[0]).cumsum(1) + steps * readout.bias).argmax(2)


def result_shape(signal: Signal, steps: int) -> tuple[int, ...]:
    """The shape of one frame's result."""
    found = signal.shape[:1] if signal.kind == "logits" else signal.shape
    return (steps, *found) if signal.timed else found


def result_dtype(signal: Signal, times: int = 1) -> type[np.signedinteger]:
    """The type of a result, or of the sum of ``times`` magnitudes of it."""
    return np.int32 if times * max(-signal.low, signal.high) < 1 << 31 else np.int64
