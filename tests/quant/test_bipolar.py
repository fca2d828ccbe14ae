"""Weights of one bit: what the golden model computes, what a file holds, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from golden_loops import Builder, compare

from spikeloom.quant import golden
from spikeloom.quant.analysis.histograms import of_weights
from spikeloom.quant.analysis.narrow import narrowed
from spikeloom.quant.ir import netfile
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import Conv2d, Flatten, Linear, NetworkError, Readout, Requant, Synapse


def network(steps: int) -> Network:
    """A grouped and padded convolution and a linear layer; neurons, or values of both signs where T = 1."""
    b = Builder(3, shape=(2, 5, 4))

    def bipolar(*shape: int) -> np.ndarray:
        return b.rng.choice([-1, 1], shape)

    b.add(Conv2d, weight=bipolar(4, 1, 3, 3), weight_bits=1, padding=1, groups=2)
    if steps > 1:
        b.fire(4, rule="signed")
    else:
        b.add(Requant, bias=[0, 3, -2, 1], shift=[1, 1, 2, 0], lo=-8, hi=7)
    b.add(Flatten)
    return b.add(Linear, weight=bipolar(3, 80), weight_bits=1).add(Readout, bias=b.weights(3)).network(steps)


@pytest.mark.parametrize("steps", [1, 3])
def test_they_are_numbers_like_others(steps: int) -> None:
    """By loops, and by the same weights of two bits, whose network is another one."""
    net = network(steps)
    result = compare(net, 1)
    wide = replace(net, nodes=tuple(replace(n, weight_bits=2) if isinstance(n, Synapse) else n for n in net))
    x = np.random.default_rng(1).integers(0, net.input.high + 1, (3, *net.input.shape))
    assert np.array_equal(golden.run(wide, x).logits, result.logits) and len(np.unique(result.logits)) > 3
    assert wide.hash != net.hash
    assert wide.signals == net.signals


def test_the_range_is_as_many_times_the_highest_input_as_there_are_weights() -> None:
    net = network(1)
    node = next(node for node in net if isinstance(node, Conv2d))
    signal, weight, high = net.signals[node.name], node.weight.reshape(4, -1), net.input.high
    assert (signal.low, signal.high) == ((weight < 0).sum(1).max() * -high, (weight > 0).sum(1).max() * high)


def test_a_file_holds_them_and_no_zero(tmp_path: Path) -> None:
    net, path = network(1), tmp_path / "n.safetensors"
    netfile.save(net, path)
    assert netfile.load(path).nodes == net.nodes and netfile.load(path).hash == net.hash
    raw = path.read_bytes()
    last = next(node for node in net if isinstance(node, Linear)).weight.astype(np.int8).tobytes()
    assert raw.count(last) == 1
    path.write_bytes(raw.replace(last, b"\0" + last[1:]))
    with pytest.raises(NetworkError, match=r"Linear\d: weights of one bit must be -1 or \+1, found 0 \(1 such"):
        netfile.load(path)


def test_reports_count_both() -> None:
    found = of_weights(network(1))
    for node in network(1):
        if isinstance(node, Synapse):
            weights = found[node.name]
            assert [weights.at(k) for k in (-1, 0, 1)] == [(node.weight == k).sum() for k in (-1, 0, 1)]
            assert weights.total == node.weight.size and not weights.below + weights.above


def test_they_cannot_be_narrowed() -> None:
    with pytest.raises(NetworkError, match="weights of 1 bit cannot be narrowed"):
        narrowed(network(1), 2)
