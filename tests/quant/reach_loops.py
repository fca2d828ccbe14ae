"""What frames reached, counted with one loop for each thing: the reference."""

from __future__ import annotations

from itertools import product

import numpy as np
from golden_loops import both, lines

from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Add, Conv2d, Input, MaxPool, Readout, Requant, SumPool
from spikeloom.quant.ir.ops.staircase import Staircase


def ways(tests: list[tuple[bool, int]], channels: int) -> np.ndarray:
    """Whether a test failed, and held, (2, C), from (result, channel) of all of them."""
    return np.array([[(way, c) in tests for c in range(channels)] for way in (False, True)])


def by_hand(network: Network, outputs: dict[str, np.ndarray], counted: set[str]) -> dict[tuple[str, str], np.ndarray]:
    """What frames reached, with one loop for each thing: the reference."""
    found: dict[tuple[str, str], np.ndarray] = {}
    for node in network:
        x = outputs[node.name].astype(int)
        if node.name in counted:
            x = x.sum(1)
        source = outputs[node.source].astype(int) if node.source else x
        valued = Input | Requant | Staircase | MaxPool | SumPool
        if isinstance(node, valued) or (isinstance(node, IF) and node.name in counted):
            y = x if x.ndim == 5 else x[:, None]
            values = {(t, c, int(v)) for t in range(y.shape[1]) for c in range(y.shape[2]) for v in y[:, t, c].flat}
            found[node.name, "values"] = np.array(sorted(values))
        if isinstance(node, IF):
            spikes = outputs[node.name]
            found[node.name, "tests"] = np.stack(
                [ways([(s == 1, c) for c in range(spikes.shape[2]) for s in spikes[:, t, c].flat], spikes.shape[2])
                 for t in range(network.steps)], 1)  # fmt: skip
            if node.rule == "signed":
                found[node.name, "dips"] = dips(node, source, network.steps)
        if isinstance(node, Add):
            addends = [outputs[name] for name in node.sources]
            found[node.name, "addends"] = np.array([
                [any((v != 0) == way for v in np.moveaxis(a, -3, 0)[c].flat) for c in range(a.shape[-3])]
                for a in addends
                for way in (False, True)
            ])  # fmt: skip
        if isinstance(node, Staircase):
            sides = np.zeros((2, node.threshold.shape[1], len(node.threshold)), bool)
            for c, k in np.ndindex(node.threshold.shape):
                for v in source[:, c].flat:
                    sides[int(v >= node.threshold[c, k]), k, c] = True
            found[node.name, "tests"] = sides
        if isinstance(node, Requant):
            y = np.floor((source - node.bias[:, None, None]) / 2.0 ** node.shift[:, None, None])
            parts = (y < node.lo, (node.lo <= y) & (y <= node.hi), y > node.hi)
            found[node.name, "clamps"] = np.array([part.any((0, 2, 3)) for part in parts])
        if isinstance(node, Conv2d):
            found[node.name, "inputs"], sides, zero = met(node, source, network.signals[node.name].shape)
            if node.padding:
                found[node.name, "padding"] = sides
            found[node.name, "windows"] = zero
        if isinstance(node, MaxPool):
            found[node.name, "winners"] = alone(node, source, node.name in counted)
        if isinstance(node, Readout):
            answers, wins, ties = set(), [], set()
            for logits in x:
                best = logits[0]
                for c, v in enumerate(logits[1:]):
                    wins.append((v > best, c))
                    ties |= {c} if v == best else set()
                    best = max(best, v)
                answers.add(list(logits).index(max(logits)))
            found[node.name, "answers"] = np.array([[c in answers for c in range(x.shape[1])]])
            found[node.name, "comparisons"] = ways(wins, x.shape[1] - 1)
            found[node.name, "ties"] = np.array([[c in ties for c in range(x.shape[1] - 1)]])
    return found


def dips(node: IF, current: np.ndarray, steps: int) -> np.ndarray:
    """The membranes of rule ``signed`` with and without spikes to take back (3, T, C)."""
    found = np.zeros((3, steps, len(node.threshold)), bool)
    for i in np.ndindex(*current.shape[:1], *current.shape[-3:]):
        c, v, n = i[1], int(node.v0[i[1]]), 0
        for t in range(steps):
            v += int(current[(i[0], t, *i[1:])] if current.ndim == 5 else current[i]) + int(node.bias[c])
            found[:, t, c] |= [n > 0 and v >= 0, n > 0 and v < 0, n == 0 and v < 0]
            spike = 1 if v >= node.threshold[c] else -1 if v < 0 and n > 0 else 0
            v, n = v - spike * int(node.threshold[c]), n + spike
    return found


def met(node: Conv2d, x: np.ndarray, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Taps that met something (Ky * Kx, C), edges over which a window with something reached (4, 1), and windows, zero
    ones and all."""
    c, h, w = x.shape[-3:]
    kernel, (down, along), (dy, dx) = node.weight.shape[2:], both(node.stride), both(node.dilation)
    extent = (kernel[0] - 1) * dy + 1, (kernel[1] - 1) * dx + 1
    taps, sides, zero = np.zeros((kernel[0] * kernel[1], c), bool), np.zeros((4, 1), bool), 0
    for frame, oy, ox in product(range(len(x)), range(shape[1]), range(shape[2])):
        y, left = oy * down - lines(node.padding, 0)[0], ox * along - lines(node.padding, 1)[0]
        places = [(a, b, y + a * dy, left + b * dx) for a in range(kernel[0]) for b in range(kernel[1])]
        inside = [place for place in places if 0 <= place[2] < h and 0 <= place[3] < w]
        some = [(a, b, k) for a, b, i, j in inside for k in range(c) if x[frame][..., k, i, j].any()]
        if node.pad is not None:
            some += [(a, b, k) for a, b, i, j in places if (a, b, i, j) not in inside for k in np.flatnonzero(node.pad)]
        for a, b, k in some:
            taps[a * kernel[1] + b, k] = True
        if some:
            sides[:, 0] |= [y < 0, y + extent[0] > h, left < 0, left + extent[1] > w]
        zero += not some
    return taps, sides, np.array([zero, len(x) * shape[1] * shape[2]])


def alone(node: MaxPool, x: np.ndarray, counted: bool) -> np.ndarray:
    """Places that had the maximum of their window alone (Ky * Kx, C)."""
    x = x[:, None] if x.ndim == 4 else x.sum(1)[:, None] if counted else x.cumsum(1)
    (ky, kx), (down, along) = both(node.kernel), both(node.stride)
    found = np.zeros((ky * kx, x.shape[2]), bool)
    x = np.pad(x, ((0, 0), (0, 0), (0, 0), lines(node.padding, 0), lines(node.padding, 1)))
    rows, columns = range(0, x.shape[3] - ky + 1, down), range(0, x.shape[4] - kx + 1, along)
    for n, t, c, y, left in product(*map(range, x.shape[:3]), rows, columns):
        window = x[n, t, c, y : y + ky, left : left + kx].reshape(-1)
        if list(window).count(max(window)) == 1:
            found[int(window.argmax()), c] = True
    return found
