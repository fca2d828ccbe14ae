"""Which kernel computes a kind of node, and what it is given.

A kernel stands here, and not beside its node in ``quant.ir.ops``, because ``quant.ir`` needs no PyTorch: hardware is
generated and verified without it. A kind of node in ``quant/ir/ops/<op>.py`` has its kernel in ``quant/kernels/``, in a
module that registers it with :func:`kernel` or :func:`step_kernel`; no other file names it. Kernels and the plain
NumPy reference of the nodes (:meth:`quant.ir.node.Node.reference`) are written apart and share no line, so that
each holds the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..ir.bounds import NetworkError
from ..ir.node import Node
from ..ir.signal import Signal

__all__ = ["Inputs", "by_channel", "compute", "each_step", "kernel", "step_kernel"]


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a node is computed from.

    Attributes: ``x``, the results of its sources, tensors of integers: int64, but for spikes (int8) and sums below 2^24
    (int32), (N, C, H, W), with time as the second axis where there is any; ``sources``, their signals; ``sums``, which
    of them are there as their sum over time, which has no axis of time; ``signal``, that of the result; ``summed``,
    whether the sum over time of the result is wanted; ``steps``, T.
    """

    x: tuple[Tensor, ...]
    sources: tuple[Signal, ...]
    sums: tuple[bool, ...]
    signal: Signal
    summed: bool
    steps: int

    def total(self, k: int = 0) -> Tensor:
        """The sum over time of the ``k``-th source."""
        if self.sums[k]:
            return self.x[k]
        return self.x[k].sum(1) if self.sources[k].timed else self.steps * self.x[k]


Kernel = Callable[[Any, Inputs], Tensor]
"""A node and what it is computed from to its result: (N, T, C, H, W) where it is timed and no sum is wanted."""

Step = Callable[[Any, Tensor, Signal], Tensor]
"""A node, values or the spikes of one time step (N, C, H, W), and their signal to the result."""

_KERNELS: dict[type[Node], Kernel] = {}


def kernel(kind: type[Node]) -> Callable[[Kernel], Kernel]:
    """Register the decorated function for nodes of ``kind``."""

    def register(function: Kernel) -> Kernel:
        _KERNELS[kind] = function
        return function

    return register


def step_kernel(kind: type[Node]) -> Callable[[Step], Step]:
    """Register the decorated function for nodes of ``kind``, whose time steps have nothing to do with each other."""

    def register(function: Step) -> Step:
        _KERNELS[kind] = lambda node, inputs: each_step(function, node, inputs)
        return function

    return register


def compute(node: Node, inputs: Inputs) -> Tensor:
    """The result of ``node``. Raises NetworkError for a kind without a kernel."""
    if (found := _KERNELS.get(type(node))) is None:
        raise NetworkError(f"{node.name}: the golden model does not know {type(node).__name__}")
    return found(node, inputs)


def each_step(function: Step, node: Node, inputs: Inputs) -> Tensor:
    """What ``function`` makes of values, of the sum over time where that is wanted, or of every time step."""
    x, source = inputs.x[0], inputs.sources[0]
    if inputs.summed:
        low, high = inputs.steps * source.low, inputs.steps * source.high
        return function(node, inputs.total(), Signal(source.kind, source.shape, False, low, high))
    if source.timed:
        return function(node, x.flatten(0, 1), source).unflatten(0, x.shape[:2])
    return function(node, x, source)


def by_channel(array: np.ndarray) -> Tensor:
    """``array`` (C,) as a tensor (C, 1, 1), to meet (..., C, H, W)."""
    return torch.from_numpy(array.copy()).view(-1, 1, 1)
