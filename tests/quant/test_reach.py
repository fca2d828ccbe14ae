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
from reach_networks import pixels, quantised, reached, spiking, stairs, swapped

from spikeloom.quant import golden
from spikeloom.quant.analysis.reach import Reach
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Input, Linear, Node, Readout, Requant
from spikeloom.quant.ir.ops.staircase import Staircase


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


@pytest.mark.parametrize("options", [{}, {"lo": 0, "hi": 15}, {"shift": (-2, 1)}, {"lo": 0, "hi": 1, "shift": (3, 6)}])
def test_quantisers_moved_by_one(options: dict[str, int]) -> None:
    for seed in range(6):
        network = quantised(seed, **options)
        frames = pixels(network, seed)
        agrees(reached(network, frames), frames)


WHOLE = pytest.param("lossless", -5, marks=pytest.mark.slow)
LOW = [("causal", 0), ("lossless", 0), ("lossless", -2), WHOLE, ("signed", 0)]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(("rule", "low"), LOW)
def test_thresholds_moved_by_one(rule: str, low: int, strict: bool) -> None:
    """Few frames, so that much shows nowhere; where only counts are compared, too."""
    for seed in range(8):
        network = spiking(seed, rule, steps=5)
        for name in ("if1", "if2"):
            node = network[name]
            assert isinstance(node, IF)
            network = swapped(network, replace(node, strict=strict, low=low))
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


@pytest.mark.parametrize(("count", "valued"), [(7, False), (7, True), (40, True)])
def test_staircases_moved_by_one(count: int, valued: bool) -> None:
    for seed in range(2 if valued else 6):
        network = stairs(seed, count, valued)
        frames = pixels(network, seed)
        agrees(reached(network, frames), frames)


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
