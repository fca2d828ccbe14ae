"""Nodes and networks: every field counts, what is wrong is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from node_cases import ONE, around, conv, fire, graph

from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import (
    IF,
    NODE_TYPES,
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
)
from spikeloom.quant.ir.ops.staircase import Staircase


def test_every_node_type_has_a_case() -> None:
    assert set(ONE) == set(NODE_TYPES) and len(ONE) == 14


@pytest.mark.parametrize("kind", NODE_TYPES)
def test_every_field_counts(kind: str) -> None:
    node = ONE[kind]
    if isinstance(node, Add):
        swapped = replace(node, source=node.other, other=node.source)
        assert swapped != node and around(swapped).hash != around(node).hash
    for key, array in node.arrays().items():
        other = array.copy()
        other.flat[0] += 1
        changed = replace(node, **{key: other})
        assert changed != node, f"{kind}.{key} is not compared"
        assert around(changed).hash != around(node).hash, f"{kind}.{key} is not in the hash"


GOOD = {"name": "fire", "source": "conv", "threshold": [3, 4], "bias": [0, 0], "v0": [1, 2]}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: IF(**{**GOOD, "threshold": [3, 0]}),
            r"fire: threshold of channel 1 is 0; a threshold must be positive",
        ),
        (
            lambda: IF(**{**GOOD, "threshold": [-2, 4]}),
            r"fire: threshold of channel 0 is -2; a threshold must be positive",
        ),
        (lambda: IF(**{**GOOD, "bias": [0]}), r"fire: threshold, bias and v0 must have one value a channel"),
        (lambda: IF(**{**GOOD, "bias": [0.5, 0]}), r"fire: bias holds fractions"),
        (lambda: IF(**{**GOOD, "rule": "leaky"}), r"fire: rule must be 'causal', 'lossless' or 'signed', not 'leaky'"),
        (
            lambda: IF(**GOOD, low=-1),
            r"fire: low must be 0 with rule 'causal', not -1; only rule 'lossless' has a lower end",
        ),
        (lambda: IF(**GOOD, rule="lossless", low=-0.5), r"fire: low must be an integer"),
        (lambda: Linear(name="fc", weight=[[1.0, np.nan]], weight_bits=4), r"fc: weight holds NaN or infinity"),
        (lambda: Linear(name="fc", weight=[[1, 8]], weight_bits=4), r"fc: weights must be in -8\.\.7 .*, found 1\.\.8"),
        (lambda: Linear(name="fc", weight=[[1]], weight_bits=9), r"fc: weight_bits must be in 1\.\.8, not 9"),
        (lambda: Linear(name="fc", weight=[[1]], weight_bits=0), r"fc: weight_bits must be in 1\.\.8, not 0"),
        (
            lambda: Linear(name="fc", weight=[[1, 0, -1, 0]], weight_bits=1),
            r"fc: weights of one bit must be -1 or \+1, found 0 \(2 such weights\); choose weight_bits=2 or more",
        ),
        (
            lambda: Conv2d(name="c", weight=[[[[-2]], [[1]]]], weight_bits=1),
            r"c: weights of one bit must be -1 or \+1, found -2 \(1 such weights\)",
        ),
        (lambda: Conv2d(name="c", weight=[[1]], weight_bits=4), r"c: weight must have shape \(Co, Ci, Ky, Kx\)"),
        (lambda: Conv2d(name="c", weight=[[[[1]]]], weight_bits=4, padding=1), r"c: padding must be in 0\.\.0"),
        (
            lambda: Requant(name="q", bias=[0], shift=[31], lo=0, hi=15),
            r"q: shift of channel 0 is 31; supported: -8\.\.30",
        ),
        (lambda: Requant(name="q", bias=[0], shift=[3], lo=-7, hi=255), r"q: output range must be"),
        (lambda: Staircase(name="s", threshold=[1, 2]), r"s: threshold must have 1\.\.255 values a channel"),
        (lambda: Staircase(name="s", threshold=[[0] * 256]), r"s: threshold must have .*, not shape \(1, 256\)"),
        (
            lambda: Staircase(name="s", threshold=[[1, 2], [2, 1]], low=0),
            r"s: thresholds of channel 1 do not ascend: \[2, 1\]; sort them",
        ),
        (lambda: Staircase(name="s", threshold=[[1, 2]], low=-2), r"s: values must be -1\.\.1 to 0\.\.2"),
        (lambda: Staircase(name="s", threshold=[[1, 2]], low=1), r"s: values must be .*, not 1\.\.3"),
        (
            lambda: Staircase(name="s", threshold=[[1, 2]], values=[1, 2]),
            r"s: values must be one more than the 2 thresholds, \(3,\) or \(1, 3\), not shape \(2,\)",
        ),
        (
            lambda: Staircase(name="s", threshold=[[1], [2]], values=[[1, 2]]),
            r"s: values must be .* \(2,\) or \(2, 2\), not shape \(1, 2\)",
        ),
        (
            lambda: Staircase(name="s", threshold=[[1, 2]], values=[0, -256, 1]),
            r"s: values must be in -255\.\.255, found -256; use coarser levels",
        ),
        (lambda: Staircase(name="s", threshold=[[1, 2]], values=[0, 0, 0]), r"s: all values are 0, so that nothing"),
        (lambda: Staircase(name="s", threshold=[[1, 2]], values=[0.5, 0, 0]), r"s: values holds fractions"),
        (
            lambda: Staircase(name="s", threshold=[[1, 2]], low=-1, values=[0, 5, 9]),
            r"s: has low = -1 and values, which say it themselves; leave low out",
        ),
        (lambda: Input(name="in", shape=(1, 0, 4), high=15), r"in: shape must be three positive integers"),
        (lambda: Input(name="in", shape=(1, 4, 4), high=256), r"in: .*high must be in 1\.\.255, not 256"),
        (lambda: IF(**{**GOOD, "v0": [[1, 2]]}), r"fire: .*v0 also one a neuron, \(C, H, W\)\), not shapes \(2,\), "),
        (
            lambda: IF(**{**GOOD, "v0": np.zeros((3, 1, 1))}),
            r"fire: threshold, bias and v0 must have one value a channel",
        ),
        (
            lambda: Conv2d(name="c", weight=np.ones((4, 1, 1, 1)), weight_bits=4, groups=3),
            r"c: groups must divide the 4 ",
        ),
        (
            lambda: Conv2d(name="c", weight=np.ones((4, 1, 1, 1)), weight_bits=4, groups=0),
            r"c: groups must .* not be 0",
        ),
        (lambda: Add(name="a", source="x", other="x"), r"a: adds x to itself; source and other must be two nodes"),
        (lambda: Gain(name="g", gain=[[1]]), r"g: gain must have one value a channel, not shape \(1, 1\)"),
        (lambda: Gain(name="g", gain=[]), r"g: gain must have one value a channel, not shape \(0,\)"),
        (lambda: Gain(name="g", gain=[0.5]), r"g: gain holds fractions"),
        (lambda: Gain(name="g", gain=[7, -65536]), r"g: gains must be in -65535\.\.65535, found -65536\.\.7"),
        (lambda: Gain(name="g", gain=[1], stride=0), r"g: stride must be a positive integer, not 0"),
        (lambda: Gain(name="g", gain=[1], offset=-1), r"g: offset must not be negative, not -1"),
        (lambda: MaxPool(name="p", kernel=0, stride=1), r"p: kernel and stride must be positive integers"),
    ],
)
def test_a_bad_node_is_named(make, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        make()


def test_shapes_are_checked_through_the_network() -> None:
    first, flat = ONE["Input"], Flatten(name="flat", source="in")
    fc = Linear(name="fc", source="flat", weight=np.ones((3, 31), int), weight_bits=4)
    with pytest.raises(NetworkError, match=r"fc: its weights have 31 inputs, but flat gives 32"):
        Network(nodes=(first, flat, fc, Readout(name="r", source="fc", bias=[0, 0, 0])), steps=1)
    wide = MaxPool(name="wide", source="in", kernel=5, stride=1)
    with pytest.raises(NetworkError, match=r"wide: kernel 5x5 is larger than its input 4x4"):
        Network(nodes=(first, wide, Readout(name="r", source="wide", bias=[0])), steps=1)
    with pytest.raises(NetworkError, match=r"requant: Requant works on values with T = 1"):
        replace(around(ONE["Requant"]), steps=2)
    with pytest.raises(NetworkError, match=r"staircase: Staircase works on values with T = 1"):
        replace(around(ONE["Staircase"]), steps=2)


ADD = Add(name="a", source="x", other="y")


def test_a_graph_of_every_new_kind_is_accepted() -> None:
    narrow = conv("x", "s", 4, 2, weight=np.ones((4, 1, 1, 1), int), groups=2)
    gain = Gain(name="y", source="s", gain=[0, 1, 2, 3], stride=2, offset=1)
    last = fire("f", "a", 4, v0=np.arange(16).reshape(4, 2, 2))
    network = graph(
        narrow,
        gain,
        ADD,
        last,
        Flatten(name="f2", source="f"),
        Linear(name="l2", source="f2", weight=np.ones((2, 16), int), weight_bits=2),
        Readout(name="r2", source="l2", bias=[1, 2]),
        Flatten(name="f3", source="f"),
    )
    assert network.takers["s"] == [narrow, gain] and [r.name for r in network.readouts] == ["r2", "r"]
    assert network.signals["a"].shape == (4, 2, 2) and network.signals["a"].timed
    assert (network.signals["a"].low, network.signals["a"].high) == (0, 1 + 3)
    assert network.classes == 1


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            [conv("x", "s"), Add(name="a", source="x", other="s")],
            r"^a: Add takes currents, but s gives spikes; an ident",
        ),
        ([conv("x", "s"), conv("y", "s", 3), ADD], r"^a: adds shapes \(2, 4, 4\) \(x\) and \(3, 4, 4\) \(y\)"),
        ([conv("x", "s"), conv("y", "s", stride=2), ADD], r"^a: adds shapes \(2, 4, 4\) \(x\) and \(2, 2, 2\) \(y\)"),
        (
            [conv("x", "s"), Add(name="a", source="x", other="z")],
            r"^a: its source is 'z', which is not among the nodes",
        ),
        (
            [conv("x", "s"), fire("f", "x"), fire("g", "x")],
            r"^x: its currents are taken by f, g; currents go to one node",
        ),
        ([conv("x", "s"), fire("f", "s")], r"^f: IF takes currents, but s gives spikes"),
        ([conv("x", "s"), conv("y", "s"), fire("f", "y")], r"^x: no node takes its result; leave it out"),
        ([fire("g", "c"), conv("y", "s"), fire("f", "y")], r"^c: its currents are taken by s, g"),
        (
            [Gain(name="x", source="s", gain=[1], offset=0), fire("f", "x", 1)],
            r"^x: has 1 channels, too few for the 2 of s",
        ),
        ([Gain(name="x", source="s", gain=[1, 2, 3], offset=2), fire("f", "x", 3)], r"^x: has 3 .*from channel 2 on"),
        (
            [conv("x", "s"), Gain(name="y", source="x", gain=[1, 1]), fire("f", "y")],
            r"^y: Gain takes values or spikes, but",
        ),
        ([conv("x", "s", groups=2), fire("f", "x")], r"^x: its kernels have 2 channels in 2 groups, but s gives 2"),
        (
            [conv("x", "s"), fire("f", "x", v0=np.zeros((2, 4, 3)))],
            r"^f: v0 has shape \(2, 4, 3\), but the neurons \(2, 4, 4",
        ),
        ([conv("x", "s"), fire("s", "x")], r"^s: names must be unique"),
        (
            [Readout(name="q", source="s", bias=[0, 0]), conv("x", "s"), fire("f", "x")],
            r"^q: Readout takes currents or val",
        ),
    ],
)
def test_a_bad_graph_is_named(nodes: list[Node], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        graph(*nodes)
