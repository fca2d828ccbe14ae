"""What frames reached: every claim against the golden model of a network with that constant moved by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import random_networks
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloom.gen.lowering.counts import counted
from spikeloom.quant import golden
from spikeloom.quant.analysis.reach import Reach
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
    Node,
    Readout,
    Requant,
    SumPool,
)
from spikeloom.quant.ir.ops.staircase import Staircase
from spikeloom.quant.ir.reach.branches import FAR


def reached(network: Network, frames: np.ndarray, counts: bool = True, size: int = 2) -> Reach:
    """The reach of ``frames``, a few at a time."""
    reach = Reach(network, counted(network) if counts else ())
    for start in range(0, len(frames), size):
        reach.add(golden.run(network, frames[start : start + size]).outputs)
    assert reach.frames == len(frames)
    return reach


def swapped(network: Network, node: Node) -> Network:
    """``network`` with ``node`` in the place of the one of its name."""
    return Network(tuple(node if n.name == node.name else n for n in network), network.steps)


def changed(reach: Reach, frames: np.ndarray, node: Node) -> np.ndarray:
    """In which channels (C,) the words of ``node`` are others than those of the node of its name."""
    name = node.name
    pair = [golden.run(n, frames).outputs[name] for n in (reach.network, swapped(reach.network, node))]
    if name in reach.counted:
        pair = [x.sum(1) for x in pair]
    return (pair[0] != pair[1]).any((0, *range(1, pair[0].ndim - 3), pair[0].ndim - 2, pair[0].ndim - 1))


def moved_by_one(reach: Reach, frames: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """For every neuron and quantiser and every constant that is moved: what it is, in which channels reach says that
    it shows, and in which the golden model's words are others. Channels of a node do not depend on each other."""
    for node in reach.network:
        branches, near = reach.nodes[node.name].branches, reach.nodes[node.name].near
        for d, move in enumerate((1, -1)):
            if isinstance(node, IF):
                other = replace(node, threshold=np.maximum(node.threshold + move, 1))
                yield f"{node.name} threshold {move}", branches["thresholds"].seen[d], changed(reach, frames, other)
                if node.rule != "signed" and node.name not in reach.counted:
                    assert near is not None
                    claim = (near.below == 1 if move > 0 else near.above == 0).any(0)
                    yield f"{node.name} v0 {move}", claim, changed(reach, frames, replace(node, v0=node.v0 + move))
            if isinstance(node, Requant):
                other = replace(node, bias=node.bias + move)
                yield f"{node.name} bias {move}", branches["biases"].seen[d], changed(reach, frames, other)
        if isinstance(node, Staircase):
            few = np.unique(np.linspace(0, node.threshold.shape[1] - 1, 15).astype(int)).tolist()
            for k, d in product(few, (0, 1)):
                claim = branches["thresholds"].seen[d, k]
                yield f"{node.name} threshold {k} {(1, -1)[d]}", claim, crossed(reach, frames, node, k, (1, -1)[d])
        if isinstance(node, Requant):
            parts = branches["clamps"].seen
            if node.hi <= 127:
                yield f"{node.name} lo", parts[0], changed(reach, frames, replace(node, lo=node.lo - 1))
            if node.hi not in (127, 255):
                yield f"{node.name} hi", parts[2], changed(reach, frames, replace(node, hi=node.hi + 1))


def crossed(reach: Reach, frames: np.ndarray, node: Staircase, k: int, move: int) -> np.ndarray:
    """In which channels (C,) words change where threshold ``k`` is moved. Equal ones are the same in any order."""
    threshold = node.threshold.copy()
    threshold[:, k] += move
    return changed(reach, frames, replace(node, threshold=np.sort(threshold)))


def agrees(reach: Reach, frames: np.ndarray) -> None:
    """Every claim is what the golden model does, and nothing was seen that cannot be."""
    for what, claimed, found in moved_by_one(reach, frames):
        assert np.array_equal(claimed, found), what
    for name, node in reach.nodes.items():
        for kind, branches in node.branches.items():
            assert not (branches.seen & ~branches.can).any(), (name, kind)
        assert (node.span[0] <= node.low).all() and (node.high <= node.span[1]).all(), name


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_a_constant_moved_by_one_shows_exactly_where_it_is_said_to(data: st.DataObject) -> None:
    network = data.draw(random_networks.networks())
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="pixels"))
    frames = rng.integers(0, network.input.high + 1, (3, *network.input.shape))
    reach = reached(network, frames, data.draw(st.booleans(), label="counts"))
    agrees(reach, frames)


def quantised(seed: int, shift: tuple[int, int] = (-2, 5), lo: int = -7, hi: int = 7) -> Network:
    """Values: a convolution, a maximum, a residual sum, quantised logits."""
    rng = np.random.default_rng(seed)

    def quant(name: str, source: str, channels: int) -> Requant:
        bias, shifts = rng.integers(-20, 21, channels), rng.integers(*shift, channels)
        return Requant(name=name, source=source, bias=bias, shift=shifts, lo=lo, hi=hi)

    def conv(name: str, source: str, shape: tuple[int, ...], **geometry: int) -> Conv2d:
        return Conv2d(name=name, source=source, weight=rng.integers(-3, 4, shape), weight_bits=3, **geometry)

    return Network((
        Input(name="input", shape=(2, 5, 6), high=3),
        conv("conv", "input", (4, 2, 3, 3), padding=1),
        quant("act", "conv", 4),
        MaxPool(name="pool", source="act", kernel=2, stride=1),
        conv("next", "pool", (5, 4, 1, 1), stride=2),
        Gain(name="skip", source="pool", gain=rng.integers(-3, 4, 5), stride=2, offset=1),
        Add(name="add", source="next", other="skip"),
        quant("act2", "add", 5),
        SumPool(name="sum", source="act2", kernel=2, stride=1),
        Flatten(name="flat", source="sum"),
        Linear(name="last", source="flat", weight=rng.integers(-3, 4, (3, 10)), weight_bits=3),
        quant("logits", "last", 3),
        Readout(name="out", source="logits", bias=rng.integers(-2, 3, 3)),
    ), steps=1)  # fmt: skip


def pixels(network: Network, seed: int, count: int = 4, share: float = 0.6) -> np.ndarray:
    """Random frames, a share of whose pixels is not 0."""
    rng = np.random.default_rng(seed)
    shape = (count, *network.input.shape)
    return rng.integers(0, network.input.high + 1, shape) * (rng.random(shape) < share)


@pytest.mark.parametrize("options", [{}, {"lo": 0, "hi": 15}, {"shift": (-2, 1)}, {"lo": 0, "hi": 1, "shift": (3, 6)}])
def test_quantisers_moved_by_one(options: dict[str, int]) -> None:
    for seed in range(6):
        network = quantised(seed, **options)
        frames = pixels(network, seed)
        agrees(reached(network, frames), frames)


def spiking(seed: int = 0, rule: str = "causal", steps: int = 3) -> Network:
    """Spikes: a strided convolution, a maximum and a sum over windows, a residual sum, two read-outs."""
    rng = np.random.default_rng(seed)

    def neurons(name: str, source: str, channels: int, rule: str) -> IF:
        threshold = rng.integers(2, 9, channels)
        bias, v0 = rng.integers(-1, 2, channels), threshold // 2
        return IF(name=name, source=source, threshold=threshold, bias=bias, v0=v0, rule=rule)

    def synapse(kind: type, name: str, source: str, shape: tuple[int, ...], **geometry: int) -> Node:
        return kind(name=name, source=source, weight=rng.integers(-3, 4, shape), weight_bits=3, **geometry)

    return Network((
        Input(name="input", shape=(1, 6, 7), high=3),
        synapse(Conv2d, "conv", "input", (3, 1, 3, 3), padding=1),
        neurons("if1", "conv", 3, rule),
        *([MaxPool(name="pool", source="if1", kernel=2, stride=1)] if rule != "signed" else []),
        synapse(Conv2d, "next", "pool" if rule != "signed" else "if1", (3, 3, 3, 3), padding=1, stride=2),
        Gain(name="skip", source="pool" if rule != "signed" else "if1", gain=rng.integers(-3, 4, 3), stride=2),
        Add(name="add", source="next", other="skip"),
        neurons("if2", "add", 3, rule),
        SumPool(name="sum", source="if2", kernel=2, stride=1),
        Flatten(name="flat", source="sum"),
        synapse(Linear, "last", "flat", (4, 12 if rule != "signed" else 18)),
        Readout(name="out", source="last", bias=rng.integers(-2, 3, 4)),
    ), steps=steps)  # fmt: skip


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("rule", ["causal", "lossless", "signed"])
def test_thresholds_moved_by_one(rule: str, strict: bool) -> None:
    """Few frames, so that much shows nowhere; where only counts are compared, too."""
    for seed in range(8):
        network = spiking(seed, rule, steps=5)
        for name in ("if1", "if2"):
            node = network[name]
            assert isinstance(node, IF)
            network = swapped(network, replace(node, strict=strict))
        frames = pixels(network, seed, 1, share=0.2)
        for counts in (False, True):
            agrees(reached(network, frames, counts), frames)


def test_a_spike_that_a_lower_threshold_would_not_take_back() -> None:
    """v = 5 spikes and leaves 0; then v = -1 takes the spike back, where a threshold of 4 would leave 0."""
    one = np.ones((1, 1), int)
    network = Network((
        Input(name="input", shape=(1, 1, 1), high=1),
        Linear(name="only", source="input", weight=one, weight_bits=2),
        IF(name="if1", source="only", threshold=5 * one[0], bias=-one[0], v0=6 * one[0], rule="signed"),
        Linear(name="last", source="if1", weight=one, weight_bits=2),
        Readout(name="out", source="last", bias=one[0]),
    ), steps=2)  # fmt: skip
    dark = np.zeros((1, 1, 1, 1), int)
    reach = reached(network, dark)
    assert golden.run(network, dark).outputs["if1"].reshape(-1).tolist() == [1, -1]
    assert reach.nodes["if1"].branches["thresholds"].seen[1].all()
    agrees(reach, dark)


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
    kernel = node.weight.shape[2:]
    taps, sides, zero = np.zeros((kernel[0] * kernel[1], c), bool), np.zeros((4, 1), bool), 0
    for frame, oy, ox in product(range(len(x)), range(shape[1]), range(shape[2])):
        y, left = oy * node.stride - node.padding, ox * node.stride - node.padding
        inside = [(a, b) for a in range(kernel[0]) for b in range(kernel[1]) if 0 <= y + a < h and 0 <= left + b < w]
        some = [(a, b, k) for a, b in inside for k in range(c) if x[frame][..., k, y + a, left + b].any()]
        for a, b, k in some:
            taps[a * kernel[1] + b, k] = True
        if some:
            sides[:, 0] |= [y < 0, y + kernel[0] > h, left < 0, left + kernel[1] > w]
        zero += not some
    return taps, sides, np.array([zero, len(x) * shape[1] * shape[2]])


def alone(node: MaxPool, x: np.ndarray, counted: bool) -> np.ndarray:
    """Places that had the maximum of their window alone (kernel * kernel, C)."""
    x = x[:, None] if x.ndim == 4 else x.sum(1)[:, None] if counted else x.cumsum(1)
    k, s = node.kernel, node.stride
    found = np.zeros((k * k, x.shape[2]), bool)
    rows, columns = ((n - k) // s + 1 for n in x.shape[3:])
    for n, t, c, oy, ox in product(*map(range, (*x.shape[:3], rows, columns))):
        window = x[n, t, c, oy * s : oy * s + k, ox * s : ox * s + k].reshape(-1)
        if list(window).count(max(window)) == 1:
            found[int(window.argmax()), c] = True
    return found


def stairs(seed: int, count: int = 7, valued: bool = False) -> Network:
    """The quantised network with staircases, of which some thresholds are equal; ``valued``: few values, and in every
    second one those of all channels."""
    network, rng = quantised(seed), np.random.default_rng(seed)
    for k, node in enumerate(network):
        if isinstance(node, Requant):
            threshold = np.sort(rng.integers(-30, 31, (len(node.bias), count)))
            rows = (len(node.bias), count + 1)
            values = rng.integers(-2, 3, rows[k % 2 :]) if valued else None
            low = 0 if valued else -(count // 2)
            other = Staircase(name=node.name, source=node.source, threshold=threshold, low=low, values=values)
            network = swapped(network, other)
    return network


@pytest.mark.parametrize(("count", "valued"), [(7, False), (7, True), (40, True)])
def test_staircases_moved_by_one(count: int, valued: bool) -> None:
    for seed in range(2 if valued else 6):
        network = stairs(seed, count, valued)
        frames = pixels(network, seed)
        agrees(reached(network, frames), frames)


@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("kind", ["values", "unsigned", "stairs", "levels", "causal", "lossless", "signed"])
def test_figures_are_those_of_plain_loops(kind: str, counts: bool) -> None:
    made = {"values": quantised(1), "unsigned": quantised(2, lo=0, hi=15)}
    made |= {"stairs": stairs(1), "levels": stairs(2, 60, True)}
    network = made[kind] if kind in made else spiking(3, kind)
    frames = pixels(network, 1, 3, share=0.15)
    reach = reached(network, frames, counts)
    outputs = golden.run(network, frames).outputs
    found = by_hand(network, outputs, set(reach.counted))
    for (name, kind), expected in found.items():
        if kind == "windows":
            assert np.array_equal(reach.nodes[name].windows, expected), name
            continue
        seen = reach.nodes[name].branches[kind].seen
        if kind == "values":
            v, t, c = np.nonzero(seen)
            seen = np.array(sorted(zip(t, c, v + reach.nodes[name].span[0].min(), strict=True)))
        assert np.array_equal(seen, expected), (name, kind)
    listed = {(n, k) for n, node in reach.nodes.items() for k in node.branches}
    assert listed - set(found) <= {(n, k) for n, _ in listed for k in ("thresholds", "biases", "inputs")}


def test_nearest_distances() -> None:
    network = spiking(4)
    frames = pixels(network, 4)
    reach, outputs = reached(network, frames, counts=False), golden.run(network, frames).outputs
    node = network["if2"]
    assert isinstance(node, IF)
    near = reach.nodes["if2"].near
    assert near is not None
    above, below = np.full((2, 3, 3), FAR)
    for i in np.ndindex(*outputs["if2"][:, 0].shape):
        v = int(node.v0[i[1]])
        for t in range(3):
            v += int(outputs["add"][(i[0], t, *i[1:])]) + int(node.bias[i[1]])
            g = v - int(node.threshold[i[1]])
            side = above if g >= 0 else below
            side[t, i[1]] = min(side[t, i[1]], abs(g))
            v -= int(node.threshold[i[1]]) * (g >= 0)
    assert np.array_equal(near.above, above) and np.array_equal(near.below, below)


@pytest.mark.parametrize("rule", ["causal", "lossless", "signed"])
def test_parts_of_the_frames_add_up(rule: str) -> None:
    network = spiking(5, rule)
    frames = pixels(network, 5, 6)
    whole, parts = reached(network, frames, size=6), [reached(network, f) for f in (frames[:1], frames[1:])]
    parts[0].merge(parts[1])
    assert parts[0].frames == whole.frames == 6
    for name, node in whole.nodes.items():
        other = parts[0].nodes[name]
        assert node.windows == other.windows
        assert np.array_equal(node.low, other.low) and np.array_equal(node.high, other.high)
        for kind, branches in node.branches.items():
            assert np.array_equal(branches.seen, other.branches[kind].seen), (name, kind)
    if rule != "signed":  # neurons whose tests were all seen are not looked at again
        near = [n.nodes["if1"].near for n in (whole, parts[0])]
        assert near[0] is not None and near[1] is not None and np.array_equal(near[0].above, near[1].above)


@pytest.mark.parametrize("rule", ["causal", "lossless", "signed"])
def test_large_numbers(rule: str) -> None:
    """Membranes beyond 32 bits."""
    network = spiking(6, rule)
    node = network["if1"]
    assert isinstance(node, IF)
    far = 1 << 33
    node = replace(node, threshold=node.threshold + far, v0=node.v0 + far, bias=node.bias)
    network = swapped(network, node)
    frames = pixels(network, 6)
    agrees(reached(network, frames), frames)


def test_what_cannot_be_is_told_apart() -> None:
    zero, lone = np.zeros((2, 1, 3, 3), int), np.zeros((2, 1, 3, 3), int)
    lone[1, 0, 1, 1] = 2
    network = Network((
        Input(name="input", shape=(1, 3, 3), high=1),
        Conv2d(name="conv", source="input", weight=zero + lone, weight_bits=3, padding=1),
        IF(name="if1", source="conv", threshold=np.array([3, 2]), bias=np.array([1, 0]), v0=np.array([0, 0]),
           rule="lossless"),
        Flatten(name="flat", source="if1"),
        Linear(name="last", source="flat", weight=np.ones((2, 18), int), weight_bits=2),
        Readout(name="out", source="last", bias=np.array([99, 0])),
    ), steps=2)  # fmt: skip
    node = reached(network, np.eye(9, dtype=int).reshape(9, 1, 3, 3)).nodes
    tests = node["if1"].branches["tests"]
    # The sum of the first channel is 2, whatever comes in; that of the second is 0 or 4.
    assert tests.can[:, :, 0].tolist() == [[True, True], [False, False]] and tests.can[:, :, 1].all()
    assert tests.done and tests.channels.size == 0 and tests.counts == (6, 6, 2)
    thresholds = node["if1"].branches["thresholds"]
    assert thresholds.can.tolist() == [[False, True], [True, False]]
    assert node["out"].branches["answers"].can.tolist() == [[True, False]]
    inputs = node["last"].branches["inputs"]
    assert inputs.can[0].tolist() == [False] * 9 + [True] * 9 and inputs.done
