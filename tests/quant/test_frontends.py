"""Front ends are found by entry points: those of this package, and of any other that is installed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spikeloom import api
from spikeloom.quant.frontends import protocol
from spikeloom.quant.frontends.activations import QCFS
from spikeloom.quant.frontends.layers import UnsupportedLayer
from spikeloom.quant.frontends.protocol import FrontEndError, find
from spikeloom.quant.frontends.torch_fx import TorchFx

SHAPE = (1, 2, 3)
SETTINGS = {"input_high": 15, "steps": 4, "weight_bits": 4}
WEIGHTS = [[[0.7, -0.3, 0.4, 0.1, 0.2, -0.6], [1.4, 0.3, -0.3, 0.5, 0.1, 0.9]], [[0.5, -0.25], [1.0, 0.125]]]

TOY = '''
import json
import torch
from spikeloom.quant.frontends.activations import QCFS
from spikeloom.quant.frontends.float_graph import FloatGraph
from spikeloom.quant.frontends.layers import IMAGE, Activation, Flat, Weights, refuse


class Toy:
    """Layers of weights alone, from a file of JSON."""

    name, sources = "toy", "files *.toy"

    def takes(self, source):
        return str(source).endswith(".toy")

    def read(self, source, shape=None):
        with open(source) as file:
            found = json.load(file)
        if found["kind"] != "dense":
            refuse("model", found["kind"], "dense")
        first, last = (torch.tensor(w) for w in found["weights"])
        layers = [Flat("flat", (IMAGE,)), Weights("first", ("flat",), first, torch.zeros(len(first))),
                  Activation("act", ("first",), QCFS(4, 2.0)), Weights("last", ("act",), last, torch.zeros(len(last)))]
        return FloatGraph.of(layers, "last", shape or tuple(found["shape"]))


class Integers:
    """Network files of this project."""

    name, sources = "integers", "files *.safetensors"

    def takes(self, source):
        return str(source).endswith(".safetensors")

    def read(self, source, shape=None):
        from spikeloom.quant.ir import netfile

        return netfile.load(source)
'''


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, entries: str, name: str = "toys") -> None:
    """What pip leaves behind of a package ``name`` with one module and ``entries`` in the group of front ends."""
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[spikeloom.frontends]\n{entries}\n")
    (folder / "spikeloom_toys.py").write_text(TOY)
    monkeypatch.syspath_prepend(folder)


def toy_file(folder: Path, **changed: object) -> Path:
    (folder / "model.toy").write_text(json.dumps({"kind": "dense", "weights": WEIGHTS, "shape": SHAPE} | changed))
    return folder / "model.toy"


def in_torch() -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 2, bias=False), QCFS(4, 2.0), nn.Linear(2, 2, bias=False))
    for layer, weights in zip((model[1], model[3]), WEIGHTS, strict=True):
        layer.weight.data = torch.tensor(weights)
    return model.eval()


def arrays(network: api.Network) -> list[np.ndarray]:
    return [value for node in network.nodes for value in vars(node).values() if isinstance(value, np.ndarray)]


def test_modules_of_pytorch_are_read_by_torch_fx() -> None:
    assert isinstance(find(in_torch()), TorchFx)


def test_a_front_end_of_another_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "toy = spikeloom_toys:Toy\nintegers = spikeloom_toys:Integers")
    network = api.convert(toy_file(tmp_path), **SETTINGS)
    wanted = api.convert(in_torch(), shape=SHAPE, **SETTINGS)
    assert network.input.shape == SHAPE and network.steps == wanted.steps
    assert all(np.array_equal(a, b) for a, b in zip(arrays(network), arrays(wanted), strict=True))
    assert api.convert(str(toy_file(tmp_path)), shape=(6, 1, 1), **SETTINGS).input.shape == (6, 1, 1)
    with pytest.raises(UnsupportedLayer, match="model: sparse is not supported; supported: dense"):
        api.convert(toy_file(tmp_path, kind="sparse"), **SETTINGS)
    assert isinstance(find(in_torch()), TorchFx)


def test_a_front_end_of_integers_gives_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "integers = spikeloom_toys:Integers")
    network = api.convert(in_torch(), shape=SHAPE, **SETTINGS)
    api.save(network, tmp_path / "model.safetensors")
    assert api.convert(tmp_path / "model.safetensors").hash == network.hash
    with pytest.raises(FrontEndError, match="^integers: reads integers as they are; leave out steps, rule$"):
        api.convert(tmp_path / "model.safetensors", shape=SHAPE, steps=4, rule="causal")
    with pytest.raises(FrontEndError, match="leave out std, pixel_range, input_bits$"):
        api.convert(tmp_path / "model.safetensors", std=0.5, pixel_range=(-1, 1), input_bits=4)


@pytest.mark.parametrize(("source", "name"), [("n.tflite", "'n.tflite'"), (Path("a/b.pt"), "'a/b.pt'"), ([1], "list")])
def test_what_no_front_end_takes_is_refused(source: object, name: str) -> None:
    with pytest.raises(FrontEndError) as caught:
        api.convert(source, shape=SHAPE, **SETTINGS)
    assert str(caught.value) == (
        f"{name}: is taken by no front end; installed: nir (files *.nir), onnx (files *.onnx), torch_fx (modules of "
        f"PyTorch); convert it to one of these, or install or write its front end (docs/adding/frontend.md)"
    )


def test_a_front_end_that_cannot_be_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "broken = no_such_module:Broken")
    with pytest.raises(FrontEndError, match=r"broken \(cannot be imported: No module named 'no_such_module'\)"):
        find("net.tflite")
    assert isinstance(find(in_torch()), TorchFx)


def test_two_front_ends_for_one_source_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "toy = spikeloom_toys:Toy\nother = spikeloom_toys:Toy")
    with pytest.raises(FrontEndError, match="'a.toy': is taken by several front ends, toy and toy; uninstall all"):
        find("a.toy")


def test_without_any_the_installation_is_at_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "entry_points", lambda group: [])
    with pytest.raises(FrontEndError, match="Linear: is taken by no front end; installed: none, so install spikeloom"):
        find(nn.Linear(1, 1))
