"""Network files: what is saved comes back equal, what is wrong is named."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from node_cases import ONE, around, conv, fire, graph
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from spikeloom.quant.ir import netfile
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import NODE_TYPES, Input, Linear, NetworkError, Readout


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
