"""The golden model against a second implementation that is nothing but loops over the equations."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from spikeloom.quant import golden
from spikeloom.quant.network import Network
from spikeloom.quant.nodes import (
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
            trail, counts, before = [], np.zeros_like(x[0]), None
            for t in range(steps):
                counts = counts + x[t]
                now = naive_pool(node, counts, max)
                trail.append((now > (0 if before is None else before)).astype(int))
                before = now
            return np.array(trail), True
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
        case Readout():
            total = [sum(int(v) for v in (x[:, c, 0, 0] if timed else [x[c, 0, 0]])) for c in range(len(node.bias))]
            return np.array(total) + node.bias, False
    raise AssertionError(node)


def naive_conv(node: Conv2d, s: np.ndarray) -> np.ndarray:
    co, ci, ky, kx = node.weight.shape
    _, high, wide = s.shape
    out = []
    for o in range(co):
        rows = []
        for y in range(-node.padding, high + node.padding - ky + 1, node.stride):
            rows.append(
                [
                    sum(
                        int(node.weight[o, i, a, b]) * int(s[o // (co // node.groups) * ci + i, y + a, x + b])
                        for i, a, b in product(range(ci), range(ky), range(kx))
                        if 0 <= y + a < high and 0 <= x + b < wide
                    )
                    for x in range(-node.padding, wide + node.padding - kx + 1, node.stride)
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
    k = node.kernel
    return np.array(
        [
            [
                [
                    join(int(v) for v in s[c, y : y + k, x : x + k].reshape(-1))
                    for x in range(0, s.shape[2] - k + 1, node.stride)
                ]
                for y in range(0, s.shape[1] - k + 1, node.stride)
            ]
            for c in range(len(s))
        ]
    )


def naive_neuron(node: IF, c: int, v: int, current: list[int]) -> list[int]:
    threshold, bias = int(node.threshold[c]), int(node.bias[c])
    if node.rule == "lossless":
        u, count = v + sum(i + bias for i in current), 0
        for k in range(1, len(current) + 1):
            if u > k * threshold or (u == k * threshold and not node.strict):
                count = k
        return [1] * count + [0] * (len(current) - count)
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


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("rule", "pool"),
    [
        *product(["causal", "lossless"], [None, MaxPool, SumPool]),
        *product(["signed"], [None, SumPool]),
    ],
)
def test_spiking_networks(rule: str, strict: bool, pool: type | None) -> None:
    fired = negative = 0
    for seed, (stride, padding) in enumerate(((1, 0), (2, 1), (3, 1))):
        # Negative spikes are rare: more frames to see some.
        result = compare(spiking(seed, rule, strict, stride, padding, pool), seed, 20 if rule == "signed" else 3)
        spikes = result["IF2"]
        fired += 0 < spikes.mean() < 1
        assert set(np.unique(spikes)) <= ({-1, 0, 1} if rule == "signed" else {0, 1})
        negative += any((v == -1).any() for name, v in result.outputs.items() if name.startswith("IF"))
    assert fired, "the neurons never or always fire, so the test says nothing"
    assert bool(negative) == (rule == "signed")


def test_the_two_rules_and_the_two_tests_differ_somewhere() -> None:
    """Otherwise the comparison above could not tell them apart."""
    x = np.random.default_rng(1).integers(0, 8, (20, 2, 6, 5))

    def spikes(rule: str, strict: bool) -> np.ndarray:
        outputs = golden.run(spiking(0, rule, strict, 1, 0, None), x).outputs
        return np.concatenate([outputs["IF2"].reshape(-1), outputs["IF4"].reshape(-1)])

    found = {
        (rule, strict): spikes(rule, strict) for rule in ("causal", "lossless", "signed") for strict in (False, True)
    }
    assert all((a != b).any() for i, a in enumerate(found.values()) for b in list(found.values())[i + 1 :])


def residual(seed: int, rule: str, shortcut: str, steps: int) -> Network:
    """Neurons of own first membranes, then a block whose branches are a grouped convolution and ``shortcut``."""
    b = Builder(seed, shape=(2, 5, 6))
    b.add(Conv2d, weight=b.weights(4, 2, 3, 3), weight_bits=3, padding=1)
    b.fire(4, rule=rule, v0=b.rng.integers(-4, 8, (4, 5, 6)))
    entry = b.last
    b.add(Conv2d, weight=b.weights(4, 1, 3, 3), weight_bits=3, padding=1, stride=2, groups=4).fire(4, rule=rule)
    wide = 2 if shortcut == "image" else 3  # for a map as large as the shortcut's
    b.add(Conv2d, weight=b.weights(6, 2, 3, wide), weight_bits=3, padding=1, groups=2)
    main = b.last
    if shortcut == "image":  # the same in every time step
        b.add(Conv2d, source="in", weight=b.weights(6, 2, 3, 2), weight_bits=3, padding=1, stride=2)
    elif shortcut == "projection":
        b.add(Conv2d, source=entry, weight=b.weights(6, 4, 1, 1), weight_bits=3, stride=2)
    else:
        b.add(Gain, source=entry, gain=b.rng.integers(-9, 9, 6), stride=2, offset=int(shortcut))
    one, other = (b.last, main) if shortcut == "image" else (main, b.last)
    b.add(Add, source=one, other=other)
    b.fire(6, rule=rule)
    fork = b.last
    b.add(Flatten)
    b.add(Linear, weight=b.weights(3, probe(b, steps)), weight_bits=3).add(Readout, bias=b.weights(3))
    b.add(SumPool, source=fork, kernel=2, stride=1).add(Flatten)
    return (
        b.add(Linear, weight=b.weights(4, probe(b, steps)), weight_bits=3)
        .add(Readout, bias=b.weights(4))
        .network(steps)
    )


@pytest.mark.parametrize("rule", ["causal", "lossless", "signed"])
@pytest.mark.parametrize("shortcut", ["image", "projection", "0", "2"])
def test_residual_networks_with_two_outputs(shortcut: str, rule: str) -> None:
    for seed in range(2):
        network = residual(seed, rule, shortcut, 3)
        result = compare(network, seed)
        assert len(network.readouts) == 2 and np.array_equal(result.logits, result[network.readouts[1].name])
        both = [r.name for r in network.readouts]
        kept = golden.run(network, np.zeros((1, 2, 5, 6), int), keep=both)
        assert list(kept.outputs) == both


def test_sums_that_do_not_change_over_time() -> None:
    """Values (T = 1): a gain on pixels plus a convolution of them, a requantiser, and a gain on its values."""
    b = Builder(0, shape=(2, 4, 5), high=255)
    b.add(Conv2d, weight=b.weights(3, 2, 3, 3), weight_bits=3, padding=1)
    b.add(Gain, source="in", gain=[5, -7, 100], offset=1)
    b.add(Add, source=b.last, other=b.nodes[1].name)
    b.add(Requant, bias=[3, 400, -200], shift=[4, 5, 6], lo=0, hi=15)
    fork = b.last
    b.add(Conv2d, weight=b.weights(3, 3, 1, 1), weight_bits=3).add(Gain, source=fork, gain=[1, -1, 2])
    b.add(Add, source=b.nodes[-2].name, other=b.last).add(Requant, bias=[0, 0, 0], shift=[1, 0, -1], lo=-7, hi=7)
    b.add(Flatten)
    result = compare(
        b.add(Linear, weight=b.weights(3, 60), weight_bits=3).add(Readout, bias=b.weights(3)).network(1), 0
    )
    assert result["Add3"].shape == (3, 3, 4, 5) and len(np.unique(result["Requant4"])) > 5


@pytest.mark.parametrize("groups", [2, 4])
def test_groups_in_all_three_types(groups: int) -> None:
    rng = np.random.default_rng(groups)
    x = torch.from_numpy(rng.integers(0, 256, (3, 8, 5, 6)))
    w = torch.from_numpy(rng.integers(-8, 8, (4, 8 // groups, 3, 3)))
    kinds = (torch.float32, torch.float64, torch.int64)
    found = [golden.synapse(x, w, 2, 1, kind, groups) for kind in kinds]
    assert torch.equal(found[0], found[2]) and torch.equal(found[1], found[2])
    whole = torch.zeros(4, 8, 3, 3, dtype=torch.int64)  # a grouped convolution is a full one with zeros between groups
    for o in range(4):
        at = o // (4 // groups) * (8 // groups)
        whole[o, at : at + 8 // groups] = w[o]
    assert torch.equal(golden.synapse(x, whole, 2, 1, torch.int64), found[2])


@pytest.mark.parametrize("seed", range(4))
def test_quantised_networks_with_shifts_of_both_signs(seed: int) -> None:
    b = Builder(seed, high=255)
    b.add(MaxPool, kernel=2, stride=1).add(Conv2d, weight=b.weights(3, 2, 2, 2), weight_bits=3, padding=1, stride=2)
    b.add(Requant, bias=b.rng.integers(-300, 300, 3), shift=[-2, 0, 6], lo=-7 if seed % 2 else 0, hi=7)
    b.add(SumPool, kernel=2, stride=2).add(Flatten)
    b.add(Linear, weight=b.weights(5, probe(b, 1)), weight_bits=3)
    b.add(Requant, bias=b.weights(5), shift=[-8, 1, 2, 3, 30], lo=0, hi=255)
    compare(b.add(Linear, weight=b.weights(3, 5), weight_bits=3).add(Readout, bias=b.weights(3)).network(1), seed)


def test_max_pool_on_spikes_passes_the_largest_running_count() -> None:
    """Two neurons that fire in turn: the count gate lets the first of each pair of spikes through, an OR both."""
    weight = np.array([[[[1]]]])
    nodes = (
        Input(name="in", shape=(1, 1, 2), high=3),
        Conv2d(name="c", source="in", weight=weight, weight_bits=2),
        IF(name="if", source="c", threshold=[4], bias=[0], v0=[2]),
    )
    pooled = (
        MaxPool(name="p", source="if", kernel=1, stride=1),
        Flatten(name="f", source="p"),
        Linear(name="l", source="f", weight=[[1, 1]], weight_bits=2),
        Readout(name="r", source="l", bias=[0]),
    )
    result = golden.run(Network(nodes=nodes + pooled, steps=4), np.array([[[[2, 1]]]]))
    assert result["if"][0, :, 0, 0].T.tolist() == [[1, 0, 1, 0], [0, 1, 0, 0]]
    square = Input(name="in", shape=(1, 2, 2), high=3)
    gate = (
        MaxPool(name="p", source="if", kernel=2, stride=2),
        Flatten(name="f", source="p"),
        Linear(name="l", source="f", weight=[[1]], weight_bits=2),
        Readout(name="r", source="l", bias=[0]),
    )
    result = golden.run(Network(nodes=(square, *nodes[1:], *gate), steps=4), np.array([[[[2, 1], [1, 0]]]]))
    assert result["p"].ravel().tolist() == [1, 0, 1, 0]
    result = golden.run(Network(nodes=(square, *nodes[1:], *gate), steps=4), np.array([[[[1, 1], [1, 0]]]]))
    assert result["p"].ravel().tolist() == [0, 1, 0, 0]


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


def test_ties_give_the_lowest_index() -> None:
    network = plain(np.array([[0, 1], [1, 0], [1, 0], [0, 1]]), np.zeros(4))
    assert golden.run(network, np.array([[3, 3], [1, 2], [2, 1]])[:, :, None, None]).classes.tolist() == [0, 0, 1]


def test_bounds_choose_the_type() -> None:
    assert golden.exact_dtype((1 << 24) - 1) is torch.float32
    assert golden.exact_dtype(1 << 24) is torch.float64
    assert golden.exact_dtype((1 << 53) - 1) is torch.float64
    assert golden.exact_dtype(1 << 53) is torch.int64


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 4])
def test_float32_convolutions_are_exact_up_to_their_bound(kernel: int, stride: int, groups: int) -> None:
    """A transform (Winograd) or shorter floats anywhere below PyTorch would lose the last bits of such sums."""
    generator = torch.Generator().manual_seed(kernel)
    for channels, size in ((4, 16), (16, 16), (64, 8)):
        x = torch.randint(0, 256, (32, channels, size, size), generator=generator)
        top = ((1 << 24) - 1) // (255 * channels // groups * kernel**2)
        weight = torch.randint(-top, top + 1, (2 * channels, channels // groups, kernel, kernel), generator=generator)
        weight[0] = top
        x[0] = 255
        with golden.exact_math():
            found = golden.synapse(x, weight, stride, kernel // 2, torch.float32, groups)
        assert torch.equal(found.long(), golden.synapse(x, weight, stride, kernel // 2, torch.int64, groups))
        assert int(found.max()) > 1 << 23


def test_sums_beyond_float32_are_exact() -> None:
    """1,037 products of 127 * 255 and one of 1: an odd number above 2**24, which float32 cannot hold."""
    weight = np.full((1, 1038), 127)
    weight[0, -1] = 1
    frame = np.full((1, 1038, 1, 1), 255)
    frame[0, -1] = 2 if (1037 * 127 * 255) % 2 else 1
    want = 1037 * 127 * 255 + int(frame[0, -1, 0, 0])
    assert want > 1 << 24 and want % 2
    assert int(np.float32(want)) != want
    assert golden.run(plain(weight, np.zeros(1)), frame).logits[0, 0] == want


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (1, 2), (3, 2)])
def test_the_three_types_agree(stride: int, padding: int) -> None:
    rng = np.random.default_rng(stride)
    x = torch.from_numpy(rng.integers(0, 256, (3, 4, 7, 6)))
    w = torch.from_numpy(rng.integers(-8, 8, (5, 4, 3, 3)))
    found = [golden.synapse(x, w, stride, padding, t) for t in (torch.float32, torch.float64, torch.int64)]
    assert torch.equal(found[0], found[2]) and torch.equal(found[1], found[2])
    big = golden.synapse(x + (1 << 55), w, stride, padding, torch.int64)
    ones = golden.synapse(torch.ones_like(x), w, stride, padding, torch.int64)
    assert torch.equal(big, found[2] + (ones << 55)), "int64 sums must be exact beyond 2**53"


def test_int64_is_taken_where_the_bound_asks(monkeypatch) -> None:
    network, x = spiking(0, "causal", False, 2, 1, SumPool), np.random.default_rng(0).integers(0, 8, (4, 2, 6, 5))
    want = golden.run(network, x)
    monkeypatch.setattr(golden, "exact_dtype", lambda bound: torch.int64)
    got = golden.run(network, x)
    assert all(np.array_equal(got[n.name], want[n.name]) for n in network)


def test_the_bound_is_that_of_the_worst_output(monkeypatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(golden, "exact_dtype", lambda bound: seen.append(bound) or torch.float32)
    golden.run(plain(np.array([[7, -7, 0], [1, 1, 1]]), np.zeros(2), high=15), np.zeros((1, 3, 1, 1), int))
    assert seen == [14 * 15]


def test_keep_progress_and_dtype() -> None:
    network, x = spiking(0, "causal", False, 1, 0, None), np.zeros((5, 2, 6, 5), int)
    calls: list[tuple[int, int]] = []
    result = golden.run(network, x, batch=2, keep=("IF2",), progress=lambda done, of: calls.append((done, of)))
    assert calls == [(2, 5), (4, 5), (5, 5)] and list(result.outputs) == ["IF2"] and result.logits.shape == (5, 4)
    assert result["IF2"].dtype == np.int32
    with pytest.raises(NetworkError, match=r"nothere: no such node; there are in, "):
        golden.run(network, x, keep=("nothere",))


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((1, 2, 6, 6), int), r"in: frames must have shape \(N, 2, 6, 5\), not \(1, 2, 6, 6\)"),
        (np.full((1, 2, 6, 5), 8), r"in: pixels must be in 0\.\.7, found 8\.\.8"),
        (np.zeros((1, 2, 6, 5)), r"in: frames must be integers in 0\.\.7, not float64"),
    ],
)
def test_frames_are_checked(frames: np.ndarray, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        golden.run(spiking(0, "causal", False, 1, 0, None), frames)


def test_accuracy_and_its_labels() -> None:
    network = plain(np.array([[1, 0], [0, 1]]), np.zeros(2))
    x = np.array([[3, 1], [1, 3], [2, 2], [0, 1]])[:, :, None, None]
    assert golden.accuracy(network, x, np.array([0, 1, 1, 1])) == 0.75
    with pytest.raises(NetworkError, match=r"labels must have shape \(4,\)"):
        golden.accuracy(network, x, np.zeros(3))


def by_step(network: Network, x: np.ndarray) -> np.ndarray:
    source = network.nodes[-1].source
    return golden.classes_over_time(network, golden.run(network, x, keep=(source,))[source])


def test_classes_over_time() -> None:
    """Class 1 has the bias, class 0 the spikes, which come late: v0 = -4, current and threshold 3."""
    b = Builder(0, shape=(1, 1, 1), high=3)
    b.add(Linear, weight=[[1]], weight_bits=2).add(IF, threshold=[3], bias=[0], v0=[-4])
    b.add(Linear, weight=[[3], [0]], weight_bits=3).add(Readout, bias=[0, 4])
    network, x = b.network(4), np.array([[[[3]]], [[[0]]]])
    # Spikes at t = 3 and 4: sums 0 0 3 6 of class 0 against the share 1 2 3 4 of class 1's bias.
    assert golden.run(network, x)["IF2"][0].ravel().tolist() == [0, 0, 1, 1]
    over_time = by_step(network, x)
    assert over_time.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert np.array_equal(over_time[:, -1], golden.run(network, x).classes)
    # Scaled by T: 0 0 12 24 against 5 10 15 20. A share that did not grow with t would let class 0 win at t = 3.
    b.nodes[-1] = Readout(name="end", source=b.nodes[-2].name, bias=[0, 5])
    assert by_step(b.network(4), x)[0].tolist() == [1, 1, 1, 0]
    network = spiking(0, "causal", False, 1, 0, None)
    x = np.random.default_rng(0).integers(0, 8, (9, 2, 6, 5))
    assert np.array_equal(by_step(network, x)[:, -1], golden.run(network, x).classes)


def test_reduced_precision_settings_of_the_caller_do_no_harm() -> None:
    """An AMX machine would otherwise be allowed bfloat16 products."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        compare(plain(np.random.default_rng(0).integers(-127, 128, (4, 90)), np.zeros(4)), 0)
    finally:
        torch.set_float32_matmul_precision(before)
