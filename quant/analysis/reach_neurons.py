"""What frames reached of neurons: both ways of every spike test, how near membranes came to it, and whether a threshold
moved by one would have changed a spike.

Let g = v - threshold (one less for ``strict``) be the distance of a membrane from its test, which holds where g >= 0,
and n the spikes of the neuron so far, each of which took a threshold off. With a threshold higher by d and the same
spikes so far, the membrane is n * d lower, and the test becomes g >= (n + 1) * d. So the first spike that a threshold
changes is the first one with 0 <= g <= n for d = 1, with -(n + 1) <= g < 0 for d = -1; where there is none, none
changes. Rule ``signed`` also takes a spike back where v < 0, which becomes v < n * d. The k-th test of a ``lossless``
neuron, sum >= k * threshold, is as one with n = k - 1.

Where only the number of spikes is compared, a changed spike may be made up for by a later one: the few causal neurons
with a changed spike are computed again, with the other threshold.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..ir.ops import IF
from .branches import FAR, Branches, Near

__all__ = ["observe"]


def observe(
    node: IF,
    current: np.ndarray,
    spikes: np.ndarray,
    steps: int,
    counted: bool,
    branches: Mapping[str, Branches],
    near: Near,
) -> np.ndarray:
    """Note what frames reached; return the sum of the spikes (N, C, H, W).

    Parameters: ``current`` (N, T, C, H, W), or (N, C, H, W) where it does not change; ``spikes`` (N, T, C, H, W).
    """
    shape = spikes.shape[:1] + spikes.shape[2:]
    dtype = _dtype(node, current, steps)
    threshold, bias = (x[:, None, None].astype(dtype) for x in (node.threshold, node.bias))
    start = (node.v0 if node.v0.ndim == 3 else node.v0[:, None, None]).astype(dtype) - node.strict
    number = np.zeros(shape, dtype)
    moved = np.zeros((2, *shape), bool)
    look = np.any(branches["thresholds"].missed, axis=1)
    timed = current.ndim == 5
    if node.rule == "lossless":
        total = current.sum(1, dtype=dtype) if timed else current.astype(dtype) * steps
        g = start + total + steps * bias
        for t in range(steps):
            g -= threshold
            _test(g, t, number, moved, look, branches["tests"], near)
            number += 1
        number = spikes.sum(1, dtype=dtype)
    else:
        g = np.broadcast_to(start - threshold, shape).copy()
        for t in range(steps):
            g += current[:, t] if timed else current
            g += bias
            _test(g, t, number, moved, look, branches["tests"], near)
            if node.rule == "signed":
                _dip(g + threshold + node.strict, t, number, moved, branches["dips"])
            g -= spikes[:, t] * threshold
            number += spikes[:, t]
        if counted:
            moved = _recount(node, current, steps, number, moved, branches["thresholds"])
    branches["thresholds"].seen |= moved.any((1, 3, 4))
    branches["thresholds"].seen[1] &= node.threshold > 1  # no network has a threshold of 0
    return number


def _dtype(node: IF, current: np.ndarray, steps: int) -> type[np.signedinteger]:
    """32 bits where no distance can leave them."""
    most = max(int(current.max(initial=0)), -int(current.min(initial=0)))
    rest = (int(np.abs(x).max()) for x in (node.bias, node.threshold))
    bound = int(np.abs(node.v0).max()) + (steps + 1) * (most + sum(rest)) + 1
    return np.int32 if bound < 1 << 30 else np.int64


def _test(
    g: np.ndarray, t: int, number: np.ndarray, moved: np.ndarray, look: np.ndarray, tests: Branches, near: Near
) -> None:
    """Note the distances ``g`` (N, C, H, W) of step ``t``. As unsigned numbers the distances below the test come after
    all others, in their order: one minimum and one maximum give the nearest on both sides."""
    unsigned = g.view(np.uint32 if g.dtype == np.int32 else np.uint64)
    channels = len(g), g.shape[1], -1
    top = np.iinfo(g.dtype).max
    least = unsigned.min(0).reshape(channels[1], -1).min(1)
    most = unsigned.max(0).reshape(channels[1], -1).max(1)
    holds, fails = least <= top, most > top
    tests.seen[0, t] |= fails
    tests.seen[1, t] |= holds
    below = -most.view(g.dtype).astype(np.int64)
    near.above[t] = np.minimum(near.above[t], np.where(holds, least.astype(np.int64), FAR))
    near.below[t] = np.minimum(near.below[t], np.where(fails, below, FAR))
    spent = number.view(unsigned.dtype)
    if look[0]:
        moved[0] |= unsigned <= spent
    if look[1]:
        moved[1] |= ~unsigned <= spent


def _dip(v: np.ndarray, t: int, number: np.ndarray, moved: np.ndarray, dips: Branches) -> None:
    """Note the membranes ``v`` of rule ``signed`` before a spike may be taken back."""
    some, under = number > 0, v < 0
    for k, part in enumerate((some & ~under, some & under, ~some & under)):
        dips.seen[k, t] |= part.any((0, 2, 3))
    moved[0] |= some & ~under & (v < number)
    moved[1] |= some & under & (v >= -number)


def _recount(
    node: IF, current: np.ndarray, steps: int, number: np.ndarray, moved: np.ndarray, thresholds: Branches
) -> np.ndarray:
    """Of the neurons with ``moved`` spikes those whose number of spikes is another one."""
    found = np.zeros_like(moved)
    for d, move in enumerate((1, -1)):
        n, c, y, x = np.nonzero(moved[d] & thresholds.missed[d][:, None, None])
        threshold = node.threshold[c] + move
        v, count = node.v0[c, y, x] if node.v0.ndim == 3 else node.v0[c], np.zeros(len(n), np.int64)
        for t in range(steps):
            v = v + (current[n, t, c, y, x] if current.ndim == 5 else current[n, c, y, x]) + node.bias[c]
            spike = v > threshold if node.strict else v >= threshold
            v, count = v - spike * threshold, count + spike
        found[d][n, c, y, x] = count != number[n, c, y, x]
    return found
