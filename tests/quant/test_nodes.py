"""Nodes, networks and their files: what is accepted comes back equal, what is wrong is named."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from spikeloom.quant.ir import netfile
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
    SumPool,
)
from spikeloom.quant.ir.ops.staircase import Staircase

ONE = {
    "Input": Input(name="in", shape=(2, 4, 4), high=15),
    "Conv2d": Conv2d(
        name="conv",
        source="in",
        weight=np.arange(-8, 8).reshape(1, 1, 4, 4).repeat(2, 1),
        weight_bits=5,
        stride=2,
        padding=3,
    ),
    "Gain": Gain(name="gain", source="in", gain=[0, 5, -3], stride=2, offset=1),
    "Add": Add(name="add", source="gain", other="tap"),
    "Linear": Linear(name="linear", source="flat", weight=np.array([[-2, 1, 0, 1, 1, 1, 1, 1]]), weight_bits=2),
    "IF": IF(name="if", source="conv", threshold=[3], bias=[-1], v0=[1], rule="lossless", strict=True, low=-1),
    "Requant": Requant(name="requant", source="conv", bias=[-5], shift=[-2], lo=-7, hi=7),
    "Staircase": Staircase(name="staircase", source="conv", threshold=[[-9, 4, 4, 30]], low=-1),
    "SumPool": SumPool(name="sum", source="in", kernel=2, stride=1),
    "MaxPool": MaxPool(name="max", source="in", kernel=3, stride=1),
    "Flatten": Flatten(name="flat", source="max"),
    "Readout": Readout(name="readout", source="linear", bias=[40]),
}


BEFORE = {
    "Input": [],
    "Conv2d": ["Input"],
    "IF": ["Input", "Conv2d"],
    "Requant": ["Input", "Conv2d"],
    "Staircase": ["Input", "Conv2d"],
    "Gain": ["Input"],
    "Add": ["Input", "Gain", "Tap"],
    "SumPool": ["Input"],
    "MaxPool": ["Input"],
    "Flatten": ["Input", "MaxPool"],
    "Linear": ["Input", "MaxPool", "Flatten"],
    "Readout": ["Input", "MaxPool", "Flatten", "Linear"],
}
TAP = Conv2d(name="tap", source="in", weight=np.ones((3, 2, 1, 1), int), weight_bits=2, stride=2)
FIRED = {"Conv2d": 1, "Gain": 3, "Add": 3}
SIZE = {
    "Input": 32,
    "Conv2d": 16,
    "Gain": 12,
    "Add": 12,
    "IF": 16,
    "Requant": 16,
    "Staircase": 16,
    "SumPool": 18,
    "MaxPool": 8,
    "Flatten": 8,
}


def around(node: Node) -> Network:
    """A network that holds ``node`` and ends as every network must."""
    kind = type(node).__name__
    nodes = [*({**ONE, "Tap": TAP}[name] for name in BEFORE[kind]), node]
    if channels := FIRED.get(kind):
        one = np.ones(channels, int)
        nodes.append(IF(name="fire", source=node.name, threshold=one, bias=one, v0=one))
    if kind in SIZE:
        nodes.append(Flatten(name="last_flat", source=nodes[-1].name))
        nodes.append(Linear(name="last", source="last_flat", weight=np.ones((1, SIZE[kind]), int), weight_bits=3))
    if kind != "Readout":
        nodes.append(Readout(name="end", source=nodes[-1].name, bias=[0]))
    return Network(nodes=tuple(nodes), steps=1, meta={"a": "b"})


def test_every_node_type_has_a_case() -> None:
    assert set(ONE) == set(NODE_TYPES) and len(ONE) == 12


@pytest.mark.parametrize("kind", NODE_TYPES)
def test_round_trip(kind: str, tmp_path) -> None:
    network = around(ONE[kind])
    netfile.save(network, tmp_path / "n.safetensors")
    loaded = netfile.load(tmp_path / "n.safetensors")
    assert loaded.nodes == network.nodes and loaded.meta == network.meta and loaded.steps == network.steps
    assert loaded.hash == network.hash
    assert [type(n).__name__ for n in loaded].count(kind) >= 1
    for a, b in zip(loaded, network, strict=True):
        for key, array in a.arrays().items():
            assert array.dtype == np.int64 and not array.flags.writeable and np.array_equal(array, b.arrays()[key])


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


def test_transposed_weights_survive_the_file(tmp_path) -> None:
    weight = np.arange(-6, 6).reshape(2, 6).T[:, :2]
    network = Network(
        nodes=(
            Input(name="in", shape=(2, 1, 1), high=1),
            Linear(name="l", source="in", weight=weight, weight_bits=4),
            Readout(name="r", source="l", bias=np.zeros(6)),
        ),
        steps=1,
    )
    netfile.save(network, tmp_path / "n.safetensors")
    assert netfile.load(tmp_path / "n.safetensors").nodes == network.nodes


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
        (lambda: Linear(name="fc", weight=[[1]], weight_bits=9), r"fc: weight_bits must be in 2\.\.8, not 9"),
        (lambda: Conv2d(name="c", weight=[[1]], weight_bits=4), r"c: weight must have shape \(Co, Ci, Ky, Kx\)"),
        (lambda: Conv2d(name="c", weight=[[[[1]]]], weight_bits=4, padding=1), r"c: padding must be in 0\.\.0"),
        (
            lambda: Requant(name="q", bias=[0], shift=[31], lo=0, hi=15),
            r"q: shift of channel 0 is 31; supported: -8\.\.30",
        ),
        (lambda: Requant(name="q", bias=[0], shift=[3], lo=-7, hi=255), r"q: output range must be"),
        (lambda: Staircase(name="s", threshold=[1, 2], low=0), r"s: threshold must have 1\.\.15 values a channel"),
        (lambda: Staircase(name="s", threshold=[[0] * 16], low=0), r"s: threshold must have .*, not shape \(1, 16\)"),
        (
            lambda: Staircase(name="s", threshold=[[1, 2], [2, 1]], low=0),
            r"s: thresholds of channel 1 do not ascend: \[2, 1\]; sort them",
        ),
        (lambda: Staircase(name="s", threshold=[[1, 2]], low=-2), r"s: values must be -1\.\.1 to 0\.\.2"),
        (lambda: Staircase(name="s", threshold=[[1, 2]], low=1), r"s: values must be .*, not 1\.\.3"),
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


def graph(*nodes: Node, steps: int = 2) -> Network:
    """An input of 2 channels, spikes "s" of its two, ``nodes``, and an end behind the last of them, which fires."""
    first = Conv2d(name="c", source="in", weight=np.ones((2, 2, 1, 1), int), weight_bits=2)
    start = (replace(ONE["Input"], shape=(2, 4, 4)), first, fire("s", "c"))
    size = 1
    while True:  # the size of the vector at the end
        flat = Flatten(name="flat", source=nodes[-1].name)
        end = Linear(name="fc", source="flat", weight=np.ones((1, size), int), weight_bits=2)
        try:
            return Network(nodes=(*start, *nodes, flat, end, Readout(name="r", source="fc", bias=[0])), steps=steps)
        except NetworkError as error:
            if "fc: its weights" not in str(error):
                raise
            size = int(str(error).split()[-1])


def fire(name: str, source: str, channels: int = 2, **fields) -> IF:
    one = np.ones(channels, int)
    return IF(**{"name": name, "source": source, "threshold": one, "bias": 0 * one, "v0": 0 * one, **fields})


def conv(name: str, source: str, channels: int = 2, stride: int = 1, **fields) -> Conv2d:
    return Conv2d(
        **{"name": name, "source": source, "weight": np.ones((channels, 2, 1, 1), int), "weight_bits": 2, **fields},
        stride=stride,
    )


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


def test_fields_that_came_later_are_left_out_at_their_default(tmp_path) -> None:
    plain, grouped = (
        around(ONE["Conv2d"]),
        graph(conv("x", "s", 4, weight=np.ones((4, 1, 1, 1), int), groups=2), fire("f", "x", 4)),
    )
    assert "groups" not in plain["conv"].settings() and grouped["x"].settings()["groups"] == 2
    netfile.save(grouped, tmp_path / "n.safetensors")
    assert netfile.load(tmp_path / "n.safetensors").nodes == grouped.nodes
    neurons = graph(conv("x", "s"), fire("f", "x", v0=np.arange(32).reshape(2, 4, 4)))
    netfile.save(neurons, tmp_path / "m.safetensors")
    assert np.array_equal(netfile.load(tmp_path / "m.safetensors")["f"].arrays()["v0"], np.arange(32).reshape(2, 4, 4))


def rewrite(path, change) -> None:
    """Write the file again, with what ``change(tensors, header)`` leaves of it."""
    tensors = load_file(path)
    with safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()["spikeloom"])
    text = change(tensors, header)
    save_file(tensors, path, metadata={"spikeloom": text if isinstance(text, str) else json.dumps(header)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, h: t["if/bias"].__setitem__(0, 7), r"the hash in the header does not fit"),
        (lambda t, h: t["if/threshold"].__setitem__(0, 0), r"n\.safetensors: if: threshold of channel 0 is 0"),
        (lambda t, h: h.update(steps=2), r"the hash in the header does not fit"),
        (lambda t, h: h.update(steps="many"), r"header: steps must be an integer, not 'many'"),
        (lambda t, h: h.update(format=99), r"format version 99, this program reads version 1"),
        (lambda t, h: h.pop("hash") and None, r"header: key 'hash' is missing"),
        (lambda t, h: json.dumps(h)[:-9], r"damaged network file"),
        (lambda t, h: t.pop("if/bias"), r"n\.safetensors: array 'if/bias' is missing"),
        (lambda t, h: h.update(nodes=[{"type": "LSTM", "name": "x"}]), r"x: node type 'LSTM' is unknown"),
    ],
)
def test_a_bad_file_is_named(change, message: str, tmp_path) -> None:
    path = tmp_path / "n.safetensors"
    netfile.save(around(ONE["IF"]), path)
    rewrite(path, change)
    with pytest.raises(NetworkError, match=message):
        netfile.load(path)


def test_a_file_with_an_add_of_one_current_is_named(tmp_path) -> None:
    path = tmp_path / "n.safetensors"
    netfile.save(around(ONE["Add"]), path)
    rewrite(path, lambda t, h: next(node for node in h["nodes"] if node["type"] == "Add").pop("source") and None)
    with pytest.raises(NetworkError, match=r"its source is '', which is not among the nodes before it"):
        netfile.load(path)


def test_truncated_missing_and_foreign_files(tmp_path) -> None:
    path = tmp_path / "n.safetensors"
    with pytest.raises(NetworkError, match=r"n\.safetensors: no such file"):
        netfile.load(path)
    netfile.save(around(ONE["IF"]), path)
    data = path.read_bytes()
    for size in (0, 5, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(NetworkError, match=r"not a readable network file.*truncated"):
            netfile.load(path)
    save_file({"x": np.zeros(3)}, path, metadata={"format": "pt"})
    with pytest.raises(NetworkError, match=r"a safetensors file, but not a network of Spikeloom"):
        netfile.load(path)
    path.write_text("not a network at all, but a text file")
    with pytest.raises(NetworkError, match=r"not a readable network file"):
        netfile.load(path)


@pytest.mark.parametrize(
    ("value", "kind"),
    [(127, np.int8), (-128, np.int8), (128, np.int16), (-129, np.int16), (1 << 15, np.int32), (1 << 31, np.int64)],
)
def test_arrays_are_written_in_the_narrowest_type(value: int, kind: type, tmp_path) -> None:
    network = around(replace(ONE["Readout"], bias=[value]))
    netfile.save(network, tmp_path / "n.safetensors")
    assert load_file(tmp_path / "n.safetensors")["readout/bias"].dtype == kind
    loaded = netfile.load(tmp_path / "n.safetensors")
    assert loaded.hash == network.hash and loaded["readout"].arrays()["bias"].dtype == np.int64
    wide = {key: array.astype(np.int64) for key, array in load_file(tmp_path / "n.safetensors").items()}
    with safe_open(tmp_path / "n.safetensors", framework="numpy") as file:
        save_file(wide, tmp_path / "w.safetensors", metadata=file.metadata())
    assert netfile.load(tmp_path / "w.safetensors").nodes == network.nodes, "wider types are read as well"


def test_saving_is_deterministic_and_leaves_nothing_behind(tmp_path) -> None:
    for name in ("a", "b"):
        netfile.save(around(ONE["Conv2d"]), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]
