"""The equations of all nodes as loops over Python integers, and networks to try them on."""

from __future__ import annotations

from itertools import product

import numpy as np

from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import (
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
from spikeloom.quant.ir.ops.staircase import Staircase
from spikeloom.quant.ir.ops.upsample import Upsample


def each_step(x, timed, one):
    return np.array([one(step) for step in x]) if timed else one(x)


def naive(network: Network, frame: np.ndarray) -> dict[str, np.ndarray]:
    """Every node's result for one frame (C, H, W), in Python integers."""
    found, timed = {}, {}
    for node in network:
        if isinstance(node, Add):
            one, other = ([found[s][t if timed[s] else ...] for t in range(network.steps)] for s in node.sources)
            x, over_time = (
                np.array([a + b for a, b in zip(one, other, strict=True)]),
                any(timed[s] for s in node.sources),
            )
            found[node.name], timed[node.name] = x if over_time else x[0], over_time
        else:
            source = node.source or None
            x, over_time = (found[source], timed[source]) if source else (frame, False)
            found[node.name], timed[node.name] = naive_node(node, x, over_time, network.steps)
    return found


def naive_node(node: Node, x: np.ndarray, timed: bool, steps: int) -> tuple[np.ndarray, bool]:
    match node:
        case Input():
            return x, False
        case Conv2d():
            return each_step(x, timed, lambda s: naive_conv(node, s)), timed
        case Linear():
            out, ins = node.weight.shape
            return each_step(
                x,
                timed,
                lambda s: np.array(
                    [[[sum(int(node.weight[o, i]) * int(s[i, 0, 0]) for i in range(ins))]] for o in range(out)]
                ),
            ), timed
        case Gain():
            return each_step(x, timed, lambda s: naive_gain(node, s)), timed
        case SumPool():
            return each_step(x, timed, lambda s: naive_pool(node, s, sum)), timed
        case MaxPool() if not timed:
            return naive_pool(node, x, max), False
        case MaxPool():
            trail, counts, before = [], np.zeros_like(x[0]), 0
            for t in range(steps):
                counts = counts + x[t]
                now = naive_pool(node, counts, max)
                trail.append(now - before)
                before = now
            return np.array(trail), True
        case Upsample():
            return each_step(x, timed, lambda s: naive_upsample(node, s)), timed
        case Flatten():
            return each_step(x, timed, lambda s: np.array([[[int(v)]] for v in s.reshape(-1)])), timed
        case IF():
            current = x if timed else np.array([x] * steps)
            spikes = np.zeros_like(current)
            for c, i, j in np.ndindex(*current.shape[1:]):
                v0 = int(node.v0[c, i, j] if node.v0.ndim == 3 else node.v0[c])
                spikes[:, c, i, j] = naive_neuron(node, c, v0, [int(v) for v in current[:, c, i, j]])
            return spikes, True
        case Requant():
            y = np.zeros_like(x)
            for c, i, j in np.ndindex(*x.shape):
                value = (int(x[c, i, j]) - int(node.bias[c])) * 2.0 ** -int(node.shift[c])
                y[c, i, j] = min(max(int(np.floor(value)), node.lo), node.hi)
            return y, False
        case Staircase():
            y = np.zeros_like(x)
            for c, i, j in np.ndindex(*x.shape):
                k = [int(x[c, i, j]) >= int(t) for t in node.threshold[c]].count(True)
                rows = node.values if node.values is None or node.values.ndim == 2 else [node.values] * len(x)
                y[c, i, j] = node.low + k if rows is None else rows[c][k]
            return y, False
        case Readout():
            total = [sum(int(v) for v in (x[:, c, 0, 0] if timed else [x[c, 0, 0]])) for c in range(len(node.bias))]
            return np.array(total) + node.bias, False
    raise AssertionError(node)


def both(setting) -> tuple[int, int]:
    """A setting of a window in (rows, columns)."""
    return setting if isinstance(setting, tuple) else (setting, setting)


def lines(setting, axis: int) -> tuple[int, int]:
    """Lines of padding before and behind a map, above and below it (axis 0) or left and right."""
    if isinstance(setting, int):
        return setting, setting
    return (setting[axis], setting[axis]) if len(setting) == 2 else setting[2 * axis : 2 * axis + 2]


def naive_conv(node: Conv2d, s: np.ndarray) -> np.ndarray:
    co, ci, ky, kx = node.weight.shape
    channels, high, wide = s.shape
    (top, bottom), (left, right) = lines(node.padding, 0), lines(node.padding, 1)
    (down, along), (dy, dx) = both(node.stride), both(node.dilation)
    pad = [0] * channels if node.pad is None else node.pad.tolist()

    def cell(c: int, y: int, x: int) -> int:
        return int(s[c, y, x]) if 0 <= y < high and 0 <= x < wide else pad[c]

    out = []
    for o in range(co):
        rows = []
        for y in range(-top, high + bottom - (ky - 1) * dy, down):
            rows.append(
                [
                    sum(
                        int(node.weight[o, i, a, b]) * cell(o // (co // node.groups) * ci + i, y + a * dy, x + b * dx)
                        for i, a, b in product(range(ci), range(ky), range(kx))
                    )
                    for x in range(-left, wide + right - (kx - 1) * dx, along)
                ]
            )
        out.append(rows)
    return np.array(out)


def naive_gain(node: Gain, s: np.ndarray) -> np.ndarray:
    channels, high, wide = s.shape
    return np.array(
        [
            [
                [
                    int(gain) * int(s[c - node.offset, y, x]) if 0 <= c - node.offset < channels else 0
                    for x in range(0, wide, node.stride)
                ]
                for y in range(0, high, node.stride)
            ]
            for c, gain in enumerate(node.gain)
        ]
    )


def naive_pool(node, s: np.ndarray, join) -> np.ndarray:
    (ky, kx), (down, along) = both(node.kernel), both(node.stride)
    (top, bottom), (left, right) = lines(node.padding, 0), lines(node.padding, 1)
    channels, high, wide = s.shape
    return np.array(
        [
            [
                [
                    join(
                        int(s[c, a, b]) if 0 <= a < high and 0 <= b < wide else 0
                        for a, b in product(range(y, y + ky), range(x, x + kx))
                    )
                    for x in range(-left, wide + right - kx + 1, along)
                ]
                for y in range(-top, high + bottom - ky + 1, down)
            ]
            for c in range(channels)
        ]
    )


def naive_upsample(node: Upsample, s: np.ndarray) -> np.ndarray:
    (down, along), (channels, high, wide) = both(node.factor), s.shape
    out = np.zeros((channels, high * down, wide * along), int)
    for c, y, x, below, beside in product(range(channels), range(high), range(wide), range(down), range(along)):
        out[c, y * down + below, x * along + beside] = int(s[c, y, x])
    return out


def naive_neuron(node: IF, c: int, v: int, current: list[int]) -> list[int]:
    threshold, bias = int(node.threshold[c]), int(node.bias[c])
    if node.rule == "lossless":
        u = v + sum(i + bias for i in current)
        whole = -(-u // threshold) - 1 if node.strict else u // threshold
        count = min(max(whole, node.low), len(current))
        return [1] * count + [-1] * -count + [0] * (len(current) - abs(count))
    spikes = []
    for i in current:
        v += i + bias
        spikes.append(int(v > threshold or (v == threshold and not node.strict)))
        if node.rule == "signed" and spikes[-1] == 0 and v < 0 and spikes.count(1) > spikes.count(-1):
            spikes[-1] = -1
        v -= spikes[-1] * threshold
    return spikes


class Builder:
    """Chains of nodes with random integers."""

    def __init__(self, seed: int, shape=(2, 6, 5), high: int = 7) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Node] = [Input(name="in", shape=shape, high=high)]

    @property
    def last(self) -> str:
        return self.nodes[-1].name

    def add(self, kind: type, source: str | None = None, **values) -> Builder:
        source = self.last if source is None else source
        self.nodes.append(kind(name=f"{kind.__name__}{len(self.nodes)}", source=source, **values))
        return self

    def weights(self, *shape: int) -> np.ndarray:
        return self.rng.integers(-3, 4, shape)

    def fire(self, channels: int, **rule) -> Builder:
        return self.add(
            IF,
            threshold=self.rng.integers(1, 9, channels),
            bias=self.rng.integers(-3, 4, channels),
            **{"v0": self.rng.integers(-2, 6, channels), **rule},
        )

    def network(self, steps: int) -> Network:
        return Network(nodes=tuple(self.nodes), steps=steps)


def spiking(seed: int, rule: str, strict: bool, stride: int, padding: int, pool: type | None) -> Network:
    b = Builder(seed)
    b.add(Conv2d, weight=b.weights(3, 2, 3, 2), weight_bits=3, stride=stride, padding=padding)
    b.fire(3, rule=rule, strict=strict)
    if pool:
        b.add(pool, kernel=2, stride=1)
    b.add(Conv2d, weight=b.weights(2, 3, 2, 2), weight_bits=3, stride=1, padding=1).fire(2, rule=rule, strict=strict)
    b.add(Flatten)
    size = probe(b, 2)
    return b.add(Linear, weight=b.weights(4, size), weight_bits=3).add(Readout, bias=b.weights(4)).network(5)


def probe(b: Builder, steps: int) -> int:
    """Length of the vector at the end of an unfinished chain."""
    for size in range(1, 400):
        nodes = [
            *b.nodes,
            Linear(name="l", source=b.nodes[-1].name, weight=np.ones((1, size), int), weight_bits=2),
            Readout(name="r", source="l", bias=[0]),
        ]
        try:
            return Network(nodes=tuple(nodes), steps=steps).signals["l"].shape[0] * size
        except NetworkError:
            continue
    raise AssertionError


def compare(network: Network, seed: int, frames: int = 3) -> golden.Result:
    x = np.random.default_rng(seed).integers(0, network.input.high + 1, (frames, *network.input.shape))
    result = golden.run(network, x, batch=2)
    assert list(result.outputs) == [n.name for n in network]
    for k, frame in enumerate(x):
        for name, want in naive(network, frame).items():
            got = result[name][k]
            assert got.shape == want.shape and got.dtype.kind == "i", name
            assert np.array_equal(got, want), f"frame {k}, {name}: {got[got != want]} != {want[got != want]} (expected)"
    assert result.classes.tolist() == [list(row).index(max(row)) for row in result.logits.tolist()]
    return result


def plain(weight: np.ndarray, bias: np.ndarray, high: int = 255) -> Network:
    bits = max(2, int(np.abs(weight).max()).bit_length() + 1)
    return Network(
        nodes=(
            Input(name="in", shape=(weight.shape[1], 1, 1), high=high),
            Linear(name="l", source="in", weight=weight, weight_bits=bits),
            Readout(name="r", source="l", bias=bias),
        ),
        steps=1,
    )
