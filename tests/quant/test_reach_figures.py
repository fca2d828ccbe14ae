"""What frames reached, figure by figure: against plain loops, and added up from parts of the frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reach_loops import by_hand
from reach_networks import pixels, quantised, reached, spiking, stairs, swapped

from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Conv2d, Flatten, Input, Linear, MaxPool, Readout
from spikeloom.quant.ir.reach.branches import FAR


def uneven(seed: int) -> Network:
    """The quantised network with dilation, and with padding that differs at the sides, of the maximum, too."""
    network = quantised(seed, lo=0, hi=15)
    conv, pool = network["conv"], network["pool"]
    assert isinstance(conv, Conv2d) and isinstance(pool, MaxPool)
    network = swapped(network, replace(conv, dilation=(2, 1), padding=(3, 1, 2, 0)))
    return swapped(network, replace(pool, kernel=(3, 2), padding=(1, 0, 0, 0)))


@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("kind", ["values", "unsigned", "uneven", "stairs", "levels", "causal", "lossless", "signed"])
def test_figures_are_those_of_plain_loops(kind: str, counts: bool) -> None:
    made = {"values": quantised(1), "unsigned": quantised(2, lo=0, hi=15), "stairs": stairs(1), "uneven": uneven(1)}
    made |= {"levels": stairs(2, 60, True)}
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


def test_tests_of_negative_counts_by_hand() -> None:
    """Of counts -1..2 there are tests for 0, 1 and 2: threshold 5, and sums of -5, 0 and 9."""
    one = np.ones((1, 1), int)
    network = Network((
        Input(name="input", shape=(1, 1, 1), high=14),
        Linear(name="only", source="input", weight=one, weight_bits=2),
        IF(name="if1", source="only", threshold=5 * one[0], bias=0 * one[0], v0=-5 * one[0], rule="lossless", low=-1),
        Linear(name="last", source="if1", weight=one, weight_bits=2),
        Readout(name="out", source="last", bias=one[0]),
    ), steps=2)  # fmt: skip
    node = reached(network, np.array([0, 7]).reshape(2, 1, 1, 1)).nodes["if1"]  # sums -5 and 9
    tests, thresholds, near = node.branches["tests"], node.branches["thresholds"], node.near
    assert near is not None and tests.can.all() and tests.can.shape == (2, 3, 1)
    assert tests.seen[0, :, 0].tolist() == [True, True, True] and tests.seen[1, :, 0].tolist() == [True, True, False]
    assert near.above[:, 0].tolist() == [9, 4, FAR] and near.below[:, 0].tolist() == [5, 10, 1]
    assert thresholds.can.all() and thresholds.seen[:, 0].tolist() == [False, True]
