"""``spikeloom convert`` and ``spikeloom.convert``: what a user's module becomes, and every refusal in plain words."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import spikeloom
from spikeloom import api
from spikeloom.converted import Converted
from spikeloom.quant import golden
from spikeloom.quant.conversion.integers import convert as integers
from spikeloom.quant.data import DataError
from spikeloom.quant.ir.network import Network
from spikeloom.quant.methods.qcfs.algorithm import prepare

SOURCE = '''
import torch
from torch import nn


class Net(nn.Module):
    """For images of 1x6x6."""

    def __init__(self, classes=3, bias=0.0):
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 4, 3), nn.Linear(16, classes)
        self.bias = bias

    def forward(self, x):
        x = torch.nn.functional.max_pool2d(torch.relu(self.conv(x)), 2)
        return self.last(x.flatten(1))


class Nested(nn.Module):
    pass


ready = Net()
number = 3


def needs(width):
    return Net(width)


def table():
    return Net().state_dict()


def broken():
    print("before the error")
    return nn.Conv2d(1, 4, (3, 3, 3))(torch.zeros(1, 1, 6, 6))


def leaves():
    raise SystemExit(2)


class Sigmoid(Net):
    def forward(self, x):
        return self.last(torch.sigmoid(self.conv(x)).flatten(1))
'''

SPIKING = ("--method", "spiking", "--steps", 4)
REST = ("--input-shape", "1,6,6", *SPIKING)


class Folder:
    """A folder with a user's module and its weights, and what converts it there."""

    def __init__(self, path: Path, cli: Callable[..., Any]) -> None:
        self.path, self.cli = path, cli
        (path / "net.py").write_text(SOURCE)
        self.module = self.imported()
        torch.save(self.module.state_dict(), path / "net.pt")

    def imported(self) -> nn.Module:
        """The module, with weights that depend on the place of pixels and are the same every time."""
        from spikeloom.quant.models.own import own_model

        with torch.random.fork_rng():
            torch.manual_seed(3)
            module: Any = own_model(f"{self.path / 'net.py'}:Net").eval()
            with torch.no_grad():
                module.last.bias -= module(torch.rand(200, 1, 6, 6)).mean(0)  # all classes are there
        return module

    def images(self, count: int = 60, high: int = 255) -> tuple[np.ndarray, np.ndarray]:
        """Pixels and the classes that the module itself says, as if it had been trained to."""
        pixels = np.random.default_rng(1).integers(0, high + 1, (count, 1, 6, 6))
        with torch.no_grad():
            return pixels, self.module(torch.from_numpy(pixels).float() / high).argmax(1).numpy()

    def npz(self, name: str = "frames.npz", **changed: Any) -> str:
        pixels, labels = self.images()
        arrays = {"frames": pixels.astype(np.uint8), "labels": labels} | changed
        np.savez(self.path / name, **{key: value for key, value in arrays.items() if value is not None})
        return str(self.path / name)

    def pictures(self, name: str, size: tuple[int, int] = (6, 6), mode: str = "L", count: int = 4) -> Path:
        """A folder of image files, ``count`` in each of three folders of classes."""
        from PIL import Image

        rng = np.random.default_rng(2)
        for label in "abc":
            folder = self.path / name / label
            folder.mkdir(parents=True)
            for k in range(count):
                bands = {"L": (), "RGB": (3,), "RGBA": (4,), "I;16": ()}[mode]
                kind = np.uint16 if mode == "I;16" else np.uint8
                Image.fromarray(rng.integers(0, 200, (*size, *bands)).astype(kind)).save(folder / f"{k}.png")
        return self.path / name

    def __call__(self, *arguments: object, name: str = "Net") -> Any:
        source = arguments[0] if arguments and ":" in str(arguments[0]) else f"{self.path / 'net.py'}:{name}"
        rest = arguments[1:] if arguments and source == arguments[0] else arguments
        return self.cli("convert", source, *rest, "-o", self.path / "out" / "net.safetensors")

    @property
    def network(self) -> Network:
        return api.load(self.path / "out" / "net.safetensors")

    def refuses(self, *arguments: object, name: str = "Net", words: tuple[str, ...], status: int = 1) -> Any:
        """The conversion is refused with ``words``, and leaves no file."""
        ran = self(*arguments, name=name)
        if status == 1:
            lines = [line for line in ran.err.splitlines() if not line.startswith(("warning: ", "before the"))]
            assert len(lines) == 1 and lines[0].startswith("error: "), ran.err
        assert ran.status == status and "Traceback" not in ran.err, ran
        text = " ".join(ran.err.replace("│", " ").split())
        assert not [word for word in words if word not in text], ran.err
        assert not [*self.path.rglob("*.safetensors")] and ran.out == ""
        return ran


def flat(text: str) -> str:
    """``text`` with one space in place of several."""
    return " ".join(text.split())


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
        ("net.py:Sigmoid", ("sigmoid is not supported; supported: Conv2d",)),
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


def test_without_images_there_is_a_warning(folder: Folder) -> None:
    ran = folder("--weights", "net.pt", *REST)
    assert ran.status == 0 and ran.err.startswith("warning: no images to calibrate with (--calibrate): random ones")
    assert "note: calibrated with random images" in ran.out and "accuracy of" not in ran.out
    with pytest.warns(UserWarning, match="few steps lose accuracy .* without --test nothing measures"):
        made = api.convert(folder.module, shape=(1, 6, 6), method="spiking", steps=4)
    assert made.hash == folder.network.hash and made.agreement is None and made.notes
    ran = folder("--weights", "net.pt", "--test", folder.npz(), *SPIKING)
    assert ran.status == 0 and "nothing measures" not in ran.err and "accuracy of the integers" in ran.out
    (folder.path / "out" / "net.safetensors").unlink()
    folder.refuses(*SPIKING, words=("shape (channels, height, width) of an image is not known", "--input-shape"))


def test_images_that_nobody_can_read_rightly(folder: Folder) -> None:
    pixels, labels = folder.images()
    wrong: list[tuple[dict[str, Any], tuple[str, ...]]] = [
        ({"frames": pixels / 100}, ("floats in 0..2.55 that are neither whole pixels nor pixels / 255", "astype('u")),
        ({"frames": (pixels / 255 - 0.5) / 0.2}, ("it is normalised already", "--mean, --std")),
        ({"frames": np.where(pixels == 7, np.nan, pixels)}, ("NaN or infinity",)),
        ({"frames": pixels * 2}, ("holds pixels up to 510, but 8 bits a pixel end at 255",)),
        ({"frames": pixels // 20}, ("no pixel is above 12, so white may be 15 or 255; say --input-bits 4",)),
        ({"frames": pixels[:, 0]}, ("must have shape (images, channels, height, width)", "(60, 6, 6)")),
        ({"frames": None}, ("has no array 'frames'; it holds labels",)),
        ({"labels": labels[:7]}, ("'labels' must be integers of shape (60,)",)),
        ({"labels": labels + 9}, ("is no class of the network, whose classes are 0..2",)),
        ({"frames": np.zeros((2, 3, 6, 6), np.uint8) + 200, "labels": None}, ("conv: its kernels have 1 channels",)),
        ({"high": 14}, ("'high' must be the pixel that is white, 1, 3, 7, ... or 255",)),
        ({"high": 15, "frames": pixels}, ("holds pixels up to 255, but 4 bits",)),
    ]
    for changed, words in wrong:
        folder.refuses("--calibrate", folder.npz(**changed), *SPIKING, words=words)
    folder.refuses("--calibrate", "none.npz", *SPIKING, words=("none.npz: no such file",))
    folder.refuses("--calibrate", "imagenet", *SPIKING, words=("'imagenet' is unknown; supported: digits", "folder of"))
    folder.refuses("--calibrate", folder.npz(), "--input-shape", "1,7,7", *SPIKING, words=("(1, 6, 6)", "(1, 7, 7)"))
    (folder.path / "text.npz").write_text("no archive")
    folder.refuses("--calibrate", "text.npz", *SPIKING, words=("not a readable .npz file",))


def test_bits_of_pixels_and_floats_of_0_to_1(folder: Folder) -> None:
    pixels, labels = folder.images(high=15)
    for options, arrays in ((("--input-bits", 4), {}), ((), {"high": 15})):
        ran = folder("--weights", "net.pt", "--calibrate", folder.npz(frames=pixels, labels=labels, **arrays),
                     *options, *SPIKING)  # fmt: skip
        assert ran.status == 0 and folder.network.input.high == 15 and "floats 100.00 %" in flat(ran.out)
    with pytest.raises(DataError, match="its 'high' says 8 bits a pixel, the network takes 0..15"):
        api.frames(folder.network, folder.npz(high=255))
    pixels, labels = folder.images()
    wanted = api.convert(folder.module, calibrate=(pixels, labels), method="spiking", steps=4)
    for same in (torch.from_numpy(pixels).float() / 255, pixels.astype(np.float32), torch.from_numpy(pixels)):
        assert api.convert(folder.module, calibrate=(same, labels), method="spiking", steps=4).hash == wanted.hash
    with pytest.raises(DataError, match=r"labels must be integers of shape \(60,\)"):
        api.convert(folder.module, calibrate=(pixels, labels[:3]))


def test_a_model_that_saw_another_range_is_refused_or_scaled(folder: Folder) -> None:
    """The same model, once told that it sees 0..255 and once made to."""
    frames = folder.npz()
    module = folder.module
    inner = module.conv
    assert isinstance(inner, nn.Conv2d)
    with torch.no_grad():
        inner.weight /= 255
    torch.save(module.state_dict(), folder.path / "wide.pt")
    wide = ("--weights", "wide.pt", "--calibrate", frames, *SPIKING)
    folder.refuses(*wide, words=("of 60 images", "where it sees 0..1 (assumed)", "0..255", "--pixel-range 0,255"))
    ran = folder(*wide, "--pixel-range", "0,255")
    assert ran.status == 0 and "the model sees 0..255" in flat(ran.out) and "floats 100.00 %" in flat(ran.out)


def test_mean_and_std(folder: Folder) -> None:
    pixels, _ = folder.images()
    with torch.no_grad():
        labels = folder.module((torch.from_numpy(pixels).float() / 255 - 0.4) / 0.3).argmax(1).numpy()
    base = ("--weights", "net.pt", "--calibrate", folder.npz(labels=labels), *SPIKING)
    ran = folder(*base, "--mean", "0.4", "--std", "0.3")
    assert ran.status == 0, ran.err
    assert "(0..1 - mean) / std, mean 0.4, std 0.3" in ran.out and "floats 100.00 %" in flat(ran.out)
    ran = folder(*base, "--pixel-range", "0,255", "--mean", "102", "--std", "76.5")
    assert ran.status == 0 and "floats 100.00 %" in flat(ran.out)
    (folder.path / "out" / "net.safetensors").unlink()
    other = folder.npz("other.npz", labels=(folder.images()[1] + 1) % 3)
    ran = folder("--weights", "net.pt", "--calibrate", other, *SPIKING)
    assert ran.status == 0 and "no better than a guess" in ran.err and "note: the floats are right for" in ran.out
    (folder.path / "out" / "net.safetensors").unlink()
    for options, words in (
        (("--mean", "102", "--std", "76.5"), ("are of pixels 0..255", "divide them by 255", "--pixel-range 0,255")),
        (("--mean", "0.4", "--std", "0.3", "--pixel-range", "0,255"), ("are of images in 0..1", "leave that out")),
        (("--mean", "0.4,0.4,0.4"), ("--mean has 3 values, but an image has 1 channels",)),
        (("--std", "0"), ("--std must be positive, not 0",)),
        (("--std", "inf"), ("--std must be finite",)),
        (("--pixel-range", "1,0"), ("black and a larger number for white, not 1,0",)),
    ):
        folder.refuses(*base, *options, words=words)
    for option, value, word in (("--mean", "x", "numbers"), ("--pixel-range", "1", "two numbers"),
                                ("--input-shape", "1,-2", "whole numbers"), ("--crop", "1,2,3", "H,W")):  # fmt: skip
        folder.refuses(*base, option, value, words=(word,), status=2)


def test_folders_of_images(folder: Folder) -> None:
    pictures = folder.pictures("pictures", count=5)
    ran = folder("--calibrate", pictures, "--pixel-range", "0,1", *SPIKING)
    assert ran.status == 0 and "15 of pictures" in ran.out.replace(f"{folder.path}/", ""), ran.err
    network = folder.network
    frames = api.frames(network, str(pictures))
    assert frames.pixels.shape == (15, 1, 6, 6) and frames.labels is not None
    assert frames.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    some = api.frames(network, str(pictures), 6).labels
    assert some is not None and set(some) == {0, 1, 2}
    assert folder.cli("eval", folder.path / "out" / "net.safetensors", "--data", pictures).status == 0
    (pictures / "d").mkdir()
    folder.cli("eval", folder.path / "out" / "net.safetensors", "--data", pictures).refused("d: holds no image")
    (folder.path / "out" / "net.safetensors").unlink()
    (pictures / "d").rmdir()
    (pictures / "e.png").write_bytes((pictures / "a" / "0.png").read_bytes())
    folder.refuses("--calibrate", pictures, *SPIKING, words=("has folders (a, ...) and image files (e.png, ...)",))
    (pictures / "e.png").rename(pictures / "a" / "x.png")
    (pictures / "a" / "x.png").write_text("no picture")
    folder.refuses("--calibrate", pictures, *SPIKING, words=("x.png: cannot be read as an image",))
    for name, mode, words in (("colours", "RGB", "conv: its kernels have 1 channels"), ("clear", "RGBA", "see-through"),
                              ("deep", "I;16", "more than 8 bits a channel")):  # fmt: skip
        folder.refuses("--calibrate", folder.pictures(name, mode=mode), *SPIKING, words=(words,))
    (folder.path / "empty").mkdir()
    folder.refuses("--calibrate", "empty", *SPIKING, words=("empty: holds no image; known are files bmp, gif",))


def test_images_of_another_size_are_scaled_when_that_is_asked_for(folder: Folder) -> None:
    big = folder.pictures("big", (12, 18))
    one = folder.pictures("uneven")
    (one / "b" / "9.png").write_bytes((big / "a" / "0.png").read_bytes())
    base = ("--pixel-range", "0,1", *SPIKING)
    folder.refuses("--calibrate", one, *base, words=("9.png: has 12x18 pixels", "0.png has 6x6", "--resize 6,6"))
    shaped = ("--calibrate", big, "--input-shape", "1,6,6", *base)
    folder.refuses(*shaped, words=("has 12x18 pixels (height x width), but the network takes 6x6", "--crop M"))
    folder.refuses(*shaped, "--crop", "20", words=("0.png: a crop of 20x20 does not fit 12x18 pixels",))
    ran = folder("--calibrate", big, "--resize", "6", "--crop", "6", *base)
    assert ran.status == 0 and "image files resize 6, crop 6" in flat(ran.out), ran.err
    network = folder.network
    pixels = api.frames(network, str(big), 1).pixels  # prepared as the network says
    from PIL import Image

    with Image.open(big / "a" / "0.png") as file:
        small = np.asarray(file.resize((9, 6), Image.Resampling.BILINEAR))
    assert np.array_equal(pixels[0, 0], small[:, 2:8])
    assert folder("--calibrate", big, "--resize", "6,6", *base).status == 0


def test_folders_with_parts_and_of_other_classes(folder: Folder) -> None:
    for split in ("train", "val"):
        folder.pictures(f"parts/{split}", count=3)
    ran = folder("--calibrate", "parts", "--images", "3", "--pixel-range", "0,1", *SPIKING)
    assert ran.status == 0 and "3 of parts/train" in ran.out and "9 of parts/val" in ran.out
    ran = folder("--calibrate", "parts", "--arg", "classes=4", *SPIKING)
    assert ran.status == 0 and "has 3 folders of classes, the network 4 classes" in ran.out
    assert "accuracy of" not in ran.out and "integers and floats agree" in ran.out
    folder.cli("eval", folder.path / "out" / "net.safetensors", "--data", "parts").refused("a folder for each class")
    (folder.path / "out" / "net.safetensors").unlink()
    folder.pictures("parts/test", count=1)
    folder.refuses("--calibrate", "parts", *SPIKING, words=("of which one should be for 'test'",))


def test_colours_take_grey_images(folder: Folder) -> None:
    class Colours(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.last = nn.Conv2d(3, 4, 3), nn.Linear(64, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(torch.relu(self.conv(x)).flatten(1))

    made = api.convert(Colours(), calibrate=str(folder.pictures("grey")), pixel_range=(0, 1), method="spiking", steps=4,
                       notice=lambda text: None)  # fmt: skip
    assert made.input.shape == (3, 6, 6) and "grey as colours" in made.facts["calibrated with"]
    pixels = api.frames(made, str(folder.path / "grey"), 1).pixels
    assert (pixels[:, 0] == pixels[:, 1]).all() and (pixels[:, 0] == pixels[:, 2]).all()


def test_a_missing_pillow_is_named(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    pictures = folder.pictures("pictures")
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    folder.refuses("--calibrate", pictures, *SPIKING, words=("PIL is missing; run: pip install", "the extra 'images'"))


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
