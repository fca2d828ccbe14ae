"""Files of NIR: networks of ours in other hands and back, and files of others as they are."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("nir", reason="the extra 'nir' is not installed")

import nir
from nir_graphs import causal, chained, executed, neurons, written

from spikeloom import api
from spikeloom.quant import golden
from spikeloom.quant.exporting.nir import ExportError, save, to_nir
from spikeloom.quant.frontends.floats import results
from spikeloom.quant.frontends.layers import UnsupportedLayer
from spikeloom.quant.frontends.nir import Nir
from spikeloom.quant.frontends.protocol import Neurons, Pixels
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Conv2d, Flatten, Input, Linear, MaxPool, NetworkError, Readout

RNG = np.random.default_rng(0)
SAID = {"reset": "subtract"}


def asked(**options: Any) -> Neurons:
    return Neurons("", pytest.fail, **options)


def images(network: Network, count: int = 4) -> np.ndarray:
    return np.random.default_rng(5).integers(0, network.input.high + 1, (count, *network.input.shape))


# Networks of ours


@pytest.mark.parametrize("strict", [False, True], ids=[">=", ">"])
@pytest.mark.parametrize("counts", [False, True], ids=["currents", "counts"])
def test_other_hands_compute_the_same(tmp_path: Path, strict: bool, counts: bool) -> None:
    """Every spike of every step, and the sum of the answer over time, by the equations of NIR in double floats."""
    network = causal(1, strict=strict, v0=9, counts=counts)
    save(network, tmp_path / "net.nir", force=True)
    graph, frames = nir.read(tmp_path / "net.nir", type_check=False), images(network)
    found, own = executed(graph, frames, network.steps), golden.run(network, frames).outputs
    fired = [node.name for node in network if isinstance(node, IF)]
    for name in fired:
        spikes = own[name].reshape(found[name].shape)
        assert np.array_equal(found[name], spikes), name
        assert 0.05 < spikes.mean() < 0.95, f"{name} shows nothing"
    assert ("d", "out") in graph.edges if counts else ("last", "out") in graph.edges
    assert len(fired) == 3 + counts and np.allclose(found["out"].sum(1), own["out"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("strict", [False, True], ids=[">=", ">"])
def test_snntorch_gives_the_same_spikes(tmp_path: Path, strict: bool) -> None:
    """Its ``Leaky`` with beta 1 is an IF whose test is >. Sums are whole, so a membrane that begins half a unit higher
    makes it >= (docs/nir.md)."""
    snntorch = pytest.importorskip("snntorch", reason="snnTorch, an independent simulator, is not installed")
    network = causal(2, strict=strict)
    save(network, tmp_path / "net.nir")
    graph, frames = nir.read(tmp_path / "net.nir", type_check=False), images(network)
    own, ties = golden.run(network, frames).outputs, 0
    for before, name in (("a.conv", "a.fire"), ("depth", "b"), ("hidden", "c")):
        node: Any = graph.nodes[name]
        test = node.metadata["test"]
        cell = snntorch.Leaky(beta=1.0, threshold=torch.as_tensor(node.v_threshold), reset_mechanism="subtract")
        currents = executed(graph, frames, network.steps)[before]
        membrane = torch.full(currents[:, 0].shape, 0.5 if test == ">=" else 0.0)
        for t in range(network.steps):
            spikes, membrane = cell(torch.as_tensor(currents[:, t]).float(), membrane)
            assert np.array_equal(spikes.numpy(), own[name][:, t].reshape(spikes.shape)), (name, t)
            ties += int((membrane - 0.5 * (test == ">=") == cell.threshold).sum())
    assert ties, "no membrane met its threshold, so the strictness was not seen"


@pytest.mark.parametrize("v0", [0, 5])
@pytest.mark.parametrize("counts", [False, True], ids=["currents", "counts"])
def test_what_goes_out_comes_back(tmp_path: Path, v0: int, counts: bool) -> None:
    network = causal(3, strict=counts, v0=v0, counts=counts)
    save(network, tmp_path / "net.nir", force=bool(v0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back = api.convert(tmp_path / "net.nir")
    assert back.hash == network.hash
    assert "a/conv" in {node.name for node in back} and back.facts["weights"].startswith("integers as they are")
    assert api.convert(to_nir(network, force=True)).hash == network.hash


def test_vectors_and_maps_of_one_pixel_come_back(tmp_path: Path) -> None:
    line = [Input(name="in", shape=(5, 1, 1), high=3), Linear(name="l", source="in", weight=RNG.integers(-1, 2, (2, 5)),
            weight_bits=2), Readout(name="out", source="l", bias=[1, 0])]  # fmt: skip
    point = [Input(name="in", shape=(5, 1, 1), high=3), Conv2d(name="c", source="in", weight=RNG.integers(-1, 2, (
             3, 5, 1, 1)), weight_bits=2), IF(name="f", source="c", threshold=[1] * 3, bias=[0] * 3, v0=[0] * 3),
             Linear(name="l", source="f", weight=np.eye(3), weight_bits=2),
             Readout(name="out", source="l", bias=[0] * 3)]  # fmt: skip
    for nodes in (line, point):
        network = Network(tuple(nodes), 3)
        save(network, tmp_path / "net.nir")
        assert api.convert(tmp_path / "net.nir").hash == network.hash


def test_what_nir_has_no_place_for_is_refused_by_name(tmp_path: Path) -> None:
    network = causal(4, v0=3)
    with pytest.raises(ExportError, match="a.fire: begins at membranes that are not 0, .* or --force"):
        save(network, tmp_path / "net.nir")
    assert not list(tmp_path.iterdir())

    def changed(name: str, **fields: Any) -> Network:
        nodes = [replace(node, **fields) if node.name == name else node for node in causal(4)]
        return Network(tuple(nodes), network.steps)

    for given, message in (
        (changed("b", rule="lossless"), "b: has the rule 'lossless'; .* 'causal'.* method spiking"),
        (changed("pool", padding=(2, 0, 0, 0)), "pool: has padding 2, 0 above and below, 0, 0 .*the same on both"),
    ):
        with pytest.raises(ExportError, match=message):
            to_nir(given)
    pooled = (Input(name="in", shape=(1, 2, 2), high=3), MaxPool(name="most", source="in", kernel=2, stride=2),
              Flatten(name="f", source="most"), Linear(name="l", source="f", weight=[[1]], weight_bits=2),
              Readout(name="out", source="l", bias=[0]))  # fmt: skip
    with pytest.raises(ExportError, match="most: is a MaxPool; a NIR file takes Conv2d, .* SumPool"):
        to_nir(Network(pooled, 2))


# Files of others


def everything() -> list[Any]:
    """Every kind of node, with fractions that double floats hold exactly."""
    eighths = lambda *shape: (RNG.integers(-20, 21, shape) / 8).astype(np.float32)  # noqa: E731
    return [
        nir.Input({"input": np.array([2, 6, 6])}),
        nir.Scale(np.ones((2, 6, 6)) * np.array([0.5, 2.0]).reshape(2, 1, 1)),
        nir.Conv2d((6, 6), eighths(3, 2, 3, 4), 1, "same", 1, 1, eighths(3)),
        nir.Scale(np.ones((3, 6, 6)) * np.array([0.5, 1.0, 2.0]).reshape(3, 1, 1)),
        neurons((3, 6, 6), np.array([16.0, 24.0, 40.5]).reshape(3, 1, 1), 0.5, v0=np.full((3, 6, 6), 1.5), **SAID),
        nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        nir.Conv2d((3, 3), eighths(4, 1, 2, 2) + 0.0625, (1, 1), (1, 1), (2, 2), 1, np.zeros(4)),
        neurons((4, 3, 3), 0.8125, test=">=", **SAID),
    ]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_fractions_that_are_multiples_are_exact(tmp_path: Path) -> None:
    """Scale, average pools, biases, resistances and membranes: every spike of the file, in double floats."""
    nodes = everything()
    nodes[6] = nir.Conv2d((3, 3), (RNG.integers(-3, 4, (4, 3, 2, 2)) / 2).astype(np.float32), (1, 1), (1, 1), (2, 2), 1,
                          np.array([0.25, 0, 0, -0.125]))  # fmt: skip
    nodes += [nir.SumPool2d(np.array([3, 3]), np.array([3, 3]), np.array([0, 0])), nir.Flatten(np.array([4, 1, 1]), 0),
              nir.Scale(np.array([0.25, 3.0, 0.5, 1.0])), nir.Linear((RNG.integers(-3, 4, (3, 4)) / 4).astype(
              np.float32)), nir.Scale(np.array([1.0, 2.0, 0.5])),
              neurons((3,), 1.0, **SAID), nir.Output({"output": np.array([3])})]  # fmt: skip
    path = chained(tmp_path, *nodes, time_steps=6)
    network = Nir().read(path, None, Pixels(7, 0.0, 3.5), asked())
    assert isinstance(network, Network) and network.meta["weights"].startswith("integers as they are")
    frames = images(network)
    found, own = executed(nir.read(path, type_check=False), frames / 2, 6), golden.run(network, frames).outputs
    for name in ("if4", "if7", "if13"):
        assert np.array_equal(own[name].reshape(found[name].shape), found[name]), name
        assert 0.05 < found[name].mean() < 0.95, f"{name} shows nothing"
    assert np.array_equal(own["output14"], found["if13"].sum(1)), "the logits are the numbers of spikes"
    assert network.steps == 6 and Nir().read(path, None, None, asked(steps=3)).steps == 3  # type: ignore[union-attr]


def test_lines_are_maps_of_one_row(tmp_path: Path) -> None:
    weight = RNG.integers(-3, 4, (4, 2, 3)).astype(np.float32)
    path = chained(tmp_path, nir.Input({"input": np.array([2, 9])}), nir.Conv1d(9, weight, 2, 1, 1, 1, np.zeros(4)),
                   neurons((4, 5), 11.0, **SAID), nir.Flatten(np.array([4, 5]), 0), nir.Affine(RNG.integers(-3, 4, (
                   2, 20)), np.array([0.5, 0.0])), nir.Output({"output": np.array([2])}), time_steps=4)  # fmt: skip
    network = Nir().read(path, None, Pixels(7, 0.0, 7.0), asked())
    assert isinstance(network, Network) and network.input.shape == (2, 1, 9)
    frames = images(network)
    found = executed(nir.read(path), frames[:, :, 0], 4)
    assert np.array_equal(golden.run(network, frames).logits, found["output5"].sum(1))


def test_what_is_no_multiple_is_rounded_and_said(tmp_path: Path) -> None:
    """Weights to so many bits, a threshold a whole number of their scales, and how far off a layer is."""
    weight = RNG.normal(size=(8, 12)).astype(np.float32)
    nodes = (nir.Input({"input": np.array([12])}), nir.Affine(weight, RNG.normal(size=8)), neurons((8,), 0.9),
             nir.Affine(weight[:3, :8], np.zeros(3)), nir.Output({"output": np.array([3])}))  # fmt: skip
    path, said = chained(tmp_path, *nodes), list[str]()
    network = Nir().read(path, None, Pixels(), Neurons("", said.append, steps=8, weight_bits=6, last_bits=4))
    assert isinstance(network, Network)
    assert [node.weight_bits for node in network if isinstance(node, Linear)] == [6, 4]
    first, fires = network["affine1"], network["if2"]
    assert isinstance(first, Linear) and isinstance(fires, IF) and fires.strict
    scale = 0.9 * 255 / fires.threshold[:, None]
    assert np.abs(first.weight * scale - weight).max() <= scale.max() * 0.51, "one scale for weights and threshold"
    assert len(said) == 1 and said[0].startswith("if2: the file does not say how IF resets; taken as reset by subtr")
    assert "affine1: weights rounded, " in network.meta["weights"] and "thresholds" not in network.meta["weights"]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_a_method_takes_the_rates(tmp_path: Path) -> None:
    """The float graph of a method: clamps to 0..1 of currents in thresholds."""
    nodes = everything()
    weight = RNG.normal(size=(3, 36)).astype(np.float32)
    nodes += [nir.Flatten(np.array([4, 3, 3]), 0), nir.Affine(weight, np.ones(3))]
    nodes += [nir.Output({"output": np.array([3])})]
    nodes[6] = nir.Conv2d((3, 3), RNG.normal(size=(4, 3, 2, 2)), (1, 1), (1, 1), (2, 2), 1, np.ones(4))
    path = chained(tmp_path, *nodes)
    graph = Nir().read(path, None, None, Neurons("ptq", str))
    x = torch.rand(2, 2, 6, 6)
    found = {layer.name: y for layer, y in results(graph.layers, x)}  # type: ignore[union-attr]
    many = executed(nir.read(path, type_check=False), x.double().numpy(), 500)
    assert np.allclose(found["if4"].numpy(), many["if4"].mean(1), atol=0.01)
    assert np.allclose(found["affine9"].numpy(), many["affine9"].mean(1), atol=5e-2)
    made = api.convert(path, method="ptq", bits=8, calibrate=(RNG.integers(0, 256, (8, 2, 6, 6)), None), notice=str)
    assert made.steps == 1 and made.method == "ptq"


def plain(*middle: Any, shape: tuple[int, ...] = (4,)) -> list[Any]:
    return [nir.Input({"input": np.array(shape)}), *middle, nir.Output({"output": np.array([2])})]


def affine(outputs: int = 2, inputs: int = 4) -> Any:
    return nir.Affine(np.ones((outputs, inputs), np.float32), np.zeros(outputs, np.float32))


def leaking(kind: str) -> Any:
    one = np.ones(2, np.float32)
    return {"LIF": nir.LIF(one, one, one, one), "LI": nir.LI(one, one, one), "I": nir.I(one),
            "CubaLIF": nir.CubaLIF(one, one, one, one, one), "Delay": nir.Delay(one),
            "Threshold": nir.Threshold(one)}[kind]  # fmt: skip


REFUSED = [
    *((plain(affine(), leaking(kind)), f"{kind.lower()}2: {kind} is not supported; supported: ") for kind in (
        "LIF", "LI", "I", "CubaLIF", "Delay", "Threshold")),
    (plain(affine(), nir.IF(np.ones(2), np.ones(2), np.array([0, -0.5]))), "if2: IF with v_reset -0.5 .*subtraction"),
    (plain(affine(), neurons((2,), reset="zero")), "if2: IF with the metadata reset='zero' .* 'subtract'"),
    (plain(affine(), neurons((2,), -1.0)), "if2: IF with v_threshold -1 .* positive"),
    (plain(affine(), neurons((3,))), "if2: IF of 3 behind 2 .* equal shapes"),
    (plain(affine(3), affine(2, 3)), "affine2: Affine behind affine1, which has no neurons .* IF behind every layer"),
    (plain(affine(2, 5)), "affine1: Affine takes 5 numbers, but 4 come in"),
    (plain(affine(), shape=(1, 2, 2)), "affine1: .* 1x2x2 come in; put a Flatten before it"),
    (plain(nir.Affine(np.full((2, 4), np.nan), np.zeros(2))), "affine1: Affine with weight .* finite"),
    (plain(nir.Flatten(np.array([2, 2, 1]), 1), affine(), shape=(2, 2, 1)), "flatten1: Flatten of the dimensions 1"),
    (plain(nir.Conv2d((2, 2), np.ones((2, 1, 1, 1)), 1, 0, 1, 1, np.zeros(2)), neurons((2, 2, 2), np.arange(
        1, 9).reshape(2, 2, 2)), shape=(1, 2, 2)), "if2: IF with v_threshold that differ in channel 0"),
    (plain(nir.Conv2d((3, 3), np.ones((2, 1, 1, 1)), 1, 0, 1, 1, np.zeros(2)), shape=(1, 2, 2)),
     "conv2d1: Conv2d of 3x3 behind 1x2x2"),
    (plain(affine(3)), "output2: Output of 2 behind 3"),
    (plain(), "input0|output1"),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "message"), REFUSED, ids=[message[:24] for _, message in REFUSED])
def test_everything_else_is_refused_by_its_name(tmp_path: Path, nodes: list[Any], message: str) -> None:
    path = chained(tmp_path, *nodes, time_steps=2)
    with pytest.raises((UnsupportedLayer, NetworkError), match=message):
        Nir().read(path, None, Pixels(), Neurons("", str))


def test_graphs_that_are_no_chains_are_refused(tmp_path: Path) -> None:
    nodes = dict(zip(("in", "a", "fire", "b", "out"), plain(affine(4), neurons((4,), **SAID), affine()), strict=True))
    edges = [("in", "a"), ("a", "fire"), ("fire", "b"), ("b", "out")]
    for more, message in (([("fire", "a")], r"a: a node that takes the results of several \(in, fire\)"),
                          ([("in", "b")], "b: a node that takes the results of several"),
                          ([("fire", "x")], "net.nir: an edge from fire to x")):  # fmt: skip
        with pytest.raises(UnsupportedLayer, match=message):
            Nir().read(written(tmp_path, nodes, [*edges, *more], time_steps=2))
    with pytest.raises(UnsupportedLayer, match="lonely: a node that is on no way"):
        Nir().read(written(tmp_path, nodes | {"lonely": affine()}, edges, time_steps=2))
    with pytest.raises(UnsupportedLayer, match=r"net.nir: a file without a number of time steps .* \(--steps\)"):
        Nir().read(written(tmp_path, nodes, edges))
    path = written(tmp_path, nodes, edges, time_steps=2)
    with pytest.raises(NetworkError, match="in: takes images of 4, not 1x3x3"):
        Nir().read(path, (1, 3, 3))
    with pytest.raises(NetworkError, match="in: currents of an image in which black is not 0"):
        Nir().read(path, None, Pixels(255, -1.0, 1.0))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "net.nir"
    for content, message in ((b"no HDF5", "is no NIR file, or a damaged one"), (b"", "is no NIR file")):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            Nir().read(path)
    save(causal(1), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="is no NIR file, or a damaged one"):
        Nir().read(path)
    with h5py.File(path, "w") as file:
        file["node/type"] = "NIRGraph"
    with pytest.raises(ValueError, match="net.nir: has no graph of nodes and edges"):
        Nir().read(path)
    save(causal(1), path)
    with h5py.File(path, "a") as file:
        file["node/nodes/b/r"].name  # noqa: B018 (it is there)
        del file["node/nodes/b/r"]
        file["node/nodes/b/r"] = h5py.ExternalLink("/etc/hostname", "/x")
    with pytest.raises(ValueError, match="net.nir: r is a link to another place"):
        Nir().read(path)
