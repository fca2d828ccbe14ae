"""Synaptic operations, counted here synapse by synapse."""

from __future__ import annotations

import numpy as np
import pytest
from golden_loops import both, lines
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import networks

from spikeloom.quant import golden
from spikeloom.quant.analysis import activity
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Conv2d, Flatten, Gain, Input, Linear, Readout


def reached(node, x: np.ndarray, shape: tuple[int, ...]) -> int:
    """Operations for the input x (C, H, W) of counts, over all outputs, kernel places and input channels."""
    if isinstance(node, Linear):
        return int(x.sum()) * len(node.weight)
    if isinstance(node, Gain):
        return int(x[:, :: node.stride, :: node.stride].sum())
    co, ci, ky, kx = node.weight.shape
    total = 0
    for o, y, w, c, j, i in np.ndindex(co, *shape[1:], ci, ky, kx):
        row = y * both(node.stride)[0] + j * both(node.dilation)[0] - lines(node.padding, 0)[0]
        column = w * both(node.stride)[1] + i * both(node.dilation)[1] - lines(node.padding, 1)[0]
        if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
            total += int(x[o // (co // node.groups) * ci + c, row, column])
    return total


@settings(max_examples=15, deadline=None)
@given(networks(), st.integers(0, 9))
def test_operations_are_those_of_every_synapse(network, seed) -> None:
    frames = np.random.default_rng(seed).integers(0, network.input.high + 1, (2, *network.input.shape))
    found = activity.measure(network, frames)
    whole = golden.run(network, frames)
    layers = {layer.name: layer for layer in found.layers}
    assert set(layers) == {node.name for node in network if isinstance(node, Conv2d | Linear | Gain)}
    for name, layer in layers.items():
        node, source = network[name], network.signals[network[name].source]
        x = np.abs(whole[node.source])
        x = x.sum(1) if source.timed else x
        shape, ones = network.signals[name].shape, np.ones(source.shape, int)
        assert layer.spiking == (source.kind == "spikes")
        assert layer.synapses == (0 if isinstance(node, Gain) else reached(node, ones, shape))
        if layer.spiking:
            assert layer.operations == pytest.approx(sum(reached(node, frame, shape) for frame in x) / 2)
            assert layer.rate == pytest.approx(x.mean() / network.steps / max(1, source.high))
            assert layer.picojoules == pytest.approx(0.9 * layer.operations)
        else:
            assert layer.operations == reached(node, ones, shape)
            assert layer.rate == pytest.approx((x != 0).mean())
            assert layer.picojoules == pytest.approx(4.6 * layer.operations)
    if network.classes:
        np.testing.assert_array_equal(found.classes_over_time[:, -1], whole.classes)
    assert found.ann_nanojoules == pytest.approx(4.6e-3 * sum(layer.synapses for layer in found.layers))


def test_a_spike_taken_back_counts_twice() -> None:
    """Where the read-out adds everything up, the two are not seen in the sum any more, but they are in the work."""
    one, none = np.ones(1, np.int64), np.zeros(1, np.int64)
    nodes = (
        Input(name="input", shape=(1, 1, 1), high=1),
        Linear(name="first", source="input", weight=one[:, None], weight_bits=2),
        IF(name="neuron", source="first", threshold=2 * one, bias=-2 * one, v0=4 * one, rule="signed"),
        Flatten(name="flatten", source="neuron"),
        Linear(name="last", source="flatten", weight=one[:, None], weight_bits=2),
        Readout(name="readout", source="last", bias=none),
    )
    network = Network(nodes, steps=4)
    spikes = golden.run(network, np.zeros((1, 1, 1, 1), np.int64))["neuron"].ravel()
    assert spikes.tolist() == [1, -1, 0, 0]  # 4 - 2 = 2, a spike; -2, taken back; -2, but there is none left; -4
    found = golden.run(network, np.zeros((1, 1, 1, 1), np.int64), keep=(), counts=("neuron", "flatten"))
    assert {name: int(count.sum()) for name, count in found.counts.items()} == {"neuron": 2, "flatten": 2}
