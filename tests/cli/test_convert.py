"""``spikeloom convert`` and ``spikeloom.convert``: what a user's module becomes, and every refusal in plain words."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from own_folder import REST, SPIKING, Folder, flat
from safetensors.torch import save_file
from torch import nn

import spikeloom
from spikeloom import api
from spikeloom.converted import Converted
from spikeloom.quant import golden
from spikeloom.quant.conversion.integers import convert as integers
from spikeloom.quant.ir.network import Network
from spikeloom.quant.methods.qcfs.algorithm import prepare


@pytest.fixture
def folder(tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path, cli)


def test_a_module_of_the_users_own(folder: Folder) -> None:
    ran = folder("--weights", "net.pt", "--calibrate", folder.npz(), *SPIKING)
    assert ran.status == 0, ran.err
    text = flat(ran.out)
    for words in ("model net.py:Net, weights of net.pt", "image 1x6x6, pixels 0..255", "the model sees 0..1 (assumed)",
                  "calibrated with 60 of", "tested on 60 of", "accuracy of the floats 100.00 %", "conv", "wrote"):
        assert words in text
    assert folder.network.steps == 4 and folder.network.meta["method"] == "spiking"
    assert str(folder.path) not in str(folder.network.meta)
    assert not [path for path in (folder.path / "out").iterdir() if path.name != "net.safetensors"]


def test_json_and_the_call_in_python_are_the_same(folder: Folder) -> None:
    ran = folder("--weights", "net.pt", "--calibrate", folder.npz(), *SPIKING, "--json")
    made = spikeloom.convert(folder.module, calibrate=folder.images(), method="spiking", steps=4)
    assert isinstance(made, Converted) and isinstance(made, Network)
    assert ran.json["hash"] == made.hash == folder.network.hash
    assert ran.json["accuracy"] == made.accuracy and ran.json["agreement"] == made.agreement
    assert [layer["name"] for layer in ran.json["layers"]] == [layer.name for layer in made.layers] == ["relu"]
    pixels, labels = folder.images()
    assert made.accuracy["integers"] == golden.accuracy(made, pixels, labels)
    assert made.accuracy["floats"] == 1 and made.agreement == made.accuracy["integers"]


def test_what_a_result_shows(folder: Folder, tmp_path: Path) -> None:
    made = api.convert(folder.module, calibrate=folder.images(), method="spiking", steps=4)
    text, page = made.summary(), made._repr_html_()
    for word in ("relu", "signal to noise", "Conv2d", "8", "integers and floats agree", made.hash[:16]):
        assert word in text and word in page
    assert made.network.summary() in text and made.network._repr_html_() in page
    rows = made.network.summary().splitlines()
    assert rows[0].split() == ["node", "kind", "takes", "shape", "gives", "range", "weights", "bits", "MACs"]
    assert rows[3].split()[:5] == ["conv", "Conv2d", "input", "4×4×4", "currents"]
    assert rows[3].split()[-3:] == ["36", "8", "576"] and "T = 4" in rows[-1] and "84 weights of 8 bits" in rows[-1]
    made.plot().savefig(tmp_path / "plot.png")
    made.save(tmp_path / "made.safetensors")
    assert api.load(tmp_path / "made.safetensors").hash == made.hash
    assert "<script>" not in api.convert(folder.module, calibrate=folder.images(), method="spiking", steps=2,
                                         meta={"x": "<script>"})._repr_html_()  # fmt: skip


def test_every_form_of_a_source(folder: Folder) -> None:
    frames = folder.npz()
    for source, more in (("net.py:ready", ()), ("net:ready", ()), ("net.py:needs", ("--arg", "width=3")),
                         ("net.py:Net", ("--arg", "classes=5", "--arg", "bias=text"))):  # fmt: skip
        ran = folder(source, *more, "--calibrate", frames, "--pixel-range", "0,1", *SPIKING)
        assert ran.status == 0, ran.err
    assert folder.network.classes == 5


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nett.py:Net", ("nett.py: no such file (is 'net.py' meant?)",)),
        ("net.py:Nat", ("net.py has no 'Nat' (is 'Net' meant?); it has Net, Nested, ready, needs, table")),
        ("net.py:", ("net.py:: a model of your own is file.py:NAME",)),
        ("nat:Net", ("there is no module 'nat' (is 'net' meant?)", "file.py:NAME")),
        ("a-b:Net", ("'a-b' is neither a file NAME.py nor a module",)),
        ("net.py:number", ("net.py:number: is 3, neither a torch.nn.Module nor what makes one",)),
        ("net.py:needs", ("missing a required argument: 'width'", "needs(width)", "--arg NAME=VALUE")),
        ("net.py:table", ("net.py:table: gives a OrderedDict, not a torch.nn.Module", "--weights")),
        ("net.py:broken", ("net.py:broken: ", "net.py, line 37, in broken: return nn.Conv2d(1, 4, (3, 3, 3))(",)),
        ("net.py:leaves", ("ends the program (2)", "line 41, in leaves: raise SystemExit(2)", "__main__")),
        ("net.py:Softmax", ("softmax inside the network is not supported; supported: softmax as the last layer",)),
        ("bad.py:Net", ("SyntaxError", "bad.py, line 2: class Net(:")),
        ("lost.py:Net", ("ModuleNotFoundError: No module named 'nowhere'", "lost.py, line 1: import nowhere")),
        ("inner.py:Net", ("relative import", "package.module:NAME")),
    ],
)
def test_sources_that_are_none(folder: Folder, source: str, words: tuple[str, ...]) -> None:
    (folder.path / "bad.py").write_text("x = 1\nclass Net(:\n")
    (folder.path / "lost.py").write_text("import nowhere\n")
    (folder.path / "inner.py").write_text("from .net import Net\n")
    folder.refuses(source, *REST, words=words)


def test_sources_that_are_not_named_whole(folder: Folder) -> None:
    out = ("-o", folder.path / "out" / "net.safetensors")
    folder.cli("convert", "net.py", *out).refused("which name in it? Say net.py:NAME; it has Net, Nested, needs, table")
    folder.cli("convert", "net.xyz", *out).refused("'net.xyz': is taken by no front end; installed: ", "torch_fx")
    folder.refuses("net.py:ready", "--arg", "classes=3", *REST, words=("is a module already, so it takes no 'cl",))
    folder.refuses("--arg", "classes", *REST, words=("NAME=VALUE",), status=2)


def test_weights_in_their_wrappers(folder: Folder) -> None:
    state, frames = folder.module.state_dict(), folder.npz()
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, folder.path / "last.pt")
    save_file(state, folder.path / "out.st")
    (folder.path / "out.st").rename(folder.path / "plain.safetensors")
    hashes = set()
    for name in ("net.pt", "last.pt", "plain.safetensors"):
        ran = folder("--weights", name, "--calibrate", frames, *SPIKING)
        assert ran.status == 0, ran.err
        hashes.add(folder.network.hash)
        if name == "last.pt":
            assert "a checkpoint; the weights are those below 'state_dict', without epoch" in ran.out
            assert "every name begins with 'module.', which was left out" in ran.out
    assert len(hashes) == 1


def test_weights_that_do_not_fit(folder: Folder) -> None:
    state = folder.module.state_dict()
    wrong: dict[str, tuple[Any, tuple[str, ...]]] = {
        "less.pt": ({k: v for k, v in state.items() if k != "conv.bias"}, ("it lacks conv.bias",)),
        "named.pt": (
            {k.replace("conv", "cnov"): v for k, v in state.items()},
            ("it lacks conv.weight, conv.bias (is 'cnov.weight' meant?); the model has no cnov.weight, cnov.bias",),
        ),
        "shape.pt": (state | {"last.bias": torch.zeros(5)}, ("of another shape: last.bias 5, not 3 as in the model",)),
        "nan.pt": (state | {"last.bias": torch.full((3,), torch.nan)}, ("last.bias holds NaN or infinity",)),
        "whole.pt": (nn.Linear(2, 2), ("holds pickled Python objects", "torch.save(model.state_dict(), FILE)")),
        "more.pt": ({"state_dict": state, "args": argparse.Namespace()}, ("(argparse.Namespace)", "any code")),
        "list.pt": ([1, 2], ("holds a list, and no state dict",)),
        "other.pt": ({"epoch": 3}, ("holds a table with epoch, and no state dict",)),
    }
    for name, (value, words) in wrong.items():
        torch.save(value, folder.path / name)
        folder.refuses("--weights", name, *REST, words=(name, *words))
    (folder.path / "text.pt").write_text("weights")
    folder.refuses("--weights", "text.pt", *REST, words=("text.pt: not a file of PyTorch weights",))
    folder.refuses("--weights", "none.pt", *REST, words=("none.pt: no such file",))


def test_methods_and_their_options(folder: Folder) -> None:
    base = ("--weights", "net.pt", "--calibrate", folder.npz())
    for options, words in (
        (("--method", "spikng"), ("Method 'spikng' is unknown (is 'spiking' meant?); there are",)),
        (("--method", "qcfs"), ("'qcfs' is for models trained with QCFS activations", "spiking")),
        (("--method", "spiking"), ("needs steps, T", "--steps")),
        (("--method", "spiking", "--steps", "4", "--bits", "4"), ("has no bits (--bits); it has steps (--steps), w",)),
        (("--method", "spiking", "--steps", "4", "--weight-bits", "9"), ("weight_bits must be in 2..8, not 9",)),
        (("--method", "spiking", "--steps", "4", "--rule", "lossless"), ("makes causal neurons",)),
        (("--bits", "4", "--steps", "3"), ("(--bits), or spikes of so many steps (--steps); leave out one",)),
        (("--steps", "3", "--rule", "causal"), ("the rule 'causal' needs another method: spiking",)),
        (("--rule", "lossless"), ("the rule 'lossless' needs steps (--steps)",)),
    ):
        folder.refuses(*base, *options, words=words)
    folder.refuses(*base, "--input-bits", "9", words=("--input-bits",), status=2)


def test_quantisation_is_the_first_choice(folder: Folder) -> None:
    base = ("--weights", "net.pt", "--calibrate", folder.npz(), "--json")
    for options, steps, kind in (((), 1, "Requant"), (("--bits", "4", "--weight-bits", "4"), 1, "Requant"),
                                 (("--steps", "7"), 7, "IF")):  # fmt: skip
        found = folder(*base, *options).json
        assert (found["method"], found["steps"]) == ("ptq", steps) and found["accuracy"]["integers"] > 0.8
        assert [type(node).__name__ for node in folder.network][2] == kind
        assert [layer["name"] for layer in found["layers"]] == ["relu", "last"] and found["layers"][0]["alone"] > 15
    made = api.convert(folder.module, calibrate=folder.images(), steps=7, mean=0.0, std=1.0)
    assert made.hash == folder.network.hash and made.worst in ("relu", "last")
    images = folder.images()
    double = api.convert(folder.module.double(), calibrate=images, steps=7)
    folder.module.float()
    assert double.hash == made.hash and double.accuracy == made.accuracy
    made = api.convert(folder.module, calibrate=folder.images()[0], mean=0.4, std=0.3)
    assert made.agreement is not None and made.agreement > 0.9 and not made.accuracy  # nobody says the classes


def test_a_model_with_levels_is_converted_as_it_is(folder: Folder) -> None:
    """No images are needed, and the old form of the call gives what it gave."""
    model = prepare(folder.module, 4, threshold=1.0, shape=(1, 6, 6)).eval()
    plain = integers(model, shape=(1, 6, 6), input_high=15, steps=4, weight_bits=5, rule="lossless")
    made = api.convert(model, shape=(1, 6, 6), input_high=15, steps=4, weight_bits=5, rule="lossless")
    assert made.hash == plain.hash and made.method == "qcfs" and not made.notes
    made = api.convert(model, calibrate=folder.images(high=15), input_bits=4, weight_bits=5, rule="lossless",
                       pixel_range=(0, 1))  # fmt: skip
    assert made.hash == plain.hash  # as many steps as levels
    with pytest.raises(ValueError, match="Method 'spiking' is for models with ReLUs, and this one has .* take qcfs"):
        api.convert(model, shape=(1, 6, 6), method="spiking", steps=4)


def test_the_output_is_checked_before_any_work(folder: Folder) -> None:
    (folder.path / "file").write_text("in the way")
    ran = folder.cli("convert", "nowhere.py:Net", "-o", folder.path / "file" / "net.safetensors")
    ran.refused("file")
    assert folder.cli("convert", "net.py:Net").status == 2
