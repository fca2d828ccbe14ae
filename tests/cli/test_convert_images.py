"""Images that a conversion measures and tests with: what they may be, and what the model sees of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from own_folder import REST, SPIKING, Folder, flat
from torch import nn

from spikeloom import api
from spikeloom.quant.data import DataError


@pytest.fixture
def folder(tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path, cli)


def test_without_images_there_is_a_warning(folder: Folder) -> None:
    ran = folder("--weights", "net.pt", *REST)
    assert ran.status == 0 and ran.err.startswith("warning: no images to calibrate with (--calibrate): random ones")
    assert "note: calibrated with random images" in ran.out and "accuracy of" not in ran.out
    with pytest.warns(UserWarning, match="few steps lose accuracy, and without --test nothing measures"):
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
