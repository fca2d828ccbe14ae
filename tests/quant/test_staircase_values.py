"""Staircases of more than 15 thresholds, and with values of their own: what is kept of them, what they compute."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from golden_loops import naive

from spikeloom.quant import golden
from spikeloom.quant.analysis.possible import possible
from spikeloom.quant.ir import netfile
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import Conv2d, Flatten, Input, Linear, NetworkError, Readout
from spikeloom.quant.ir.ops.staircase import Staircase


def network(threshold: object, **fields: object) -> Network:
    """A staircase of two channels behind a convolution, and logits."""
    return Network((
        Input(name="in", shape=(1, 3, 3), high=255),
        Conv2d(name="conv", source="in", weight=np.array([3, -5]).reshape(2, 1, 1, 1), weight_bits=4),
        Staircase(name="stairs", source="conv", threshold=threshold, **fields),
        Flatten(name="flat", source="stairs"),
        Linear(name="last", source="flat", weight=np.tile([[1], [-2]], 18), weight_bits=3),
        Readout(name="out", source="last", bias=np.zeros(2)),
    ), steps=1)  # fmt: skip


def kept(**fields: object) -> Staircase:
    """The staircase of two channels and two thresholds with ``fields``."""
    return Staircase(name="s", source="conv", threshold=[[1, 5], [-2, 9]], **fields)


def test_a_node_without_values_is_written_as_before_they_came() -> None:
    assert kept().settings() == {"name": "s", "source": "conv", "low": 0}
    assert list(kept().arrays()) == ["threshold"]


@pytest.mark.parametrize(
    ("values", "low", "rows"),
    [
        ([0, 1, 2], 0, None),
        ([[-1, 0, 1], [-1, 0, 1]], -1, None),
        ([3, -7, 255], 0, [3, -7, 255]),
        ([[4, 0, 9]] * 2, 0, [4, 0, 9]),
        ([1, 2, 3], 0, [1, 2, 3]),
        ([[0, 1, 2], [0, 1, 3]], 0, [[0, 1, 2], [0, 1, 3]]),
    ],
)
def test_the_shortest_form_is_kept(values: list, low: int, rows: list | None) -> None:
    node = kept(values=values)
    assert (node.low, None if node.values is None else node.values.tolist()) == (low, rows)
    assert replace(node) == node == kept(values=node.values, low=low) if rows is None else replace(node) == node
    assert node.levels.tolist() == np.broadcast_to(values, (2, 3)).tolist()


def test_equality_tells_values_from_none() -> None:
    assert kept() != kept(values=[0, 5, 9]) and kept(values=[0, 5, 9]) != kept()


@pytest.mark.parametrize("values", [[7, -3, 9, 2], [[7, -3, 9, 2], [0, 255, -255, 1]]])
def test_the_file_and_the_hash_hold_values(values: list, tmp_path: Path) -> None:
    threshold = [[-4, 0, 9], [1, 1, 1]]
    net, other = network(threshold, values=values), network(threshold)
    netfile.save(net, tmp_path / "n.safetensors")
    loaded = netfile.load(tmp_path / "n.safetensors")
    assert loaded.nodes == net.nodes and loaded.hash == net.hash != other.hash
    moved = np.array(values)
    moved.flat[-1] += 1
    assert network(threshold, values=moved).hash != net.hash


def test_a_file_with_values_of_another_shape_is_refused_unread(tmp_path: Path) -> None:
    net = network([[-4, 0], [1, 1]], values=[7, -3, 9])
    node = net["stairs"]
    assert isinstance(node, Staircase)
    object.__setattr__(node, "values", np.ones((3, 3), int))
    netfile.save(net, tmp_path / "n.safetensors")
    message = r"stairs: values has shape \(3, 3\), .* it must be \(2..256,\) or \(2, 2..256\)"
    with pytest.raises(NetworkError, match=message):
        netfile.load(tmp_path / "n.safetensors")


@pytest.mark.parametrize("count", [1, 15, 16, 255])
@pytest.mark.parametrize("rows", [None, (), (2,)])
def test_golden_reference_and_loops_agree(count: int, rows: tuple[int, ...] | None) -> None:
    rng = np.random.default_rng(count)
    values = None if rows is None else rng.integers(-255, 256, (*rows, count + 1))
    net = network(np.sort(rng.integers(-900, 700, (2, count))), values=values)
    frames = rng.integers(0, 256, (3, 1, 3, 3))
    outputs = golden.run(net, frames).outputs
    for k, frame in enumerate(frames):
        assert np.array_equal(naive(net, frame)["stairs"], outputs["stairs"][k])
    plain = net["stairs"].reference([outputs["conv"].astype(np.int64)], [False], 1)
    assert np.array_equal(plain, outputs["stairs"])


def test_values_that_fall_span_what_lies_between() -> None:
    """Channel 0 has currents 0..765, channel 1 -1275..0."""
    net = network([[100, 200, 9999], [-9999, -3, 1]], values=[5, -9, 7, 200])
    signal = net.signals["stairs"]
    assert (signal.low, signal.high) == (-9, 200)
    low, high = possible(net).spans["stairs"].always
    assert (low.tolist(), high.tolist()) == ([-9, -9], [7, 7])


def test_zero_is_in_the_range_even_where_it_is_no_value() -> None:
    """Padding is 0."""
    assert (kept(values=[3, 5, 4]).lowest, kept(values=[-3, -5, -4]).high) == (0, 0)
