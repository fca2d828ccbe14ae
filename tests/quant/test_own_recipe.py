"""Recipes with a module and data of the user's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spikeloom import api
from spikeloom.quant.data import DataError, load
from spikeloom.quant.recipe import RecipeError, filled

SOURCE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, shape, num_classes, width=4):
        super().__init__()
        self.conv = nn.Conv2d(shape[0], width, 3)
        self.last = nn.Linear(width * (shape[1] - 2) * (shape[2] - 2), num_classes)

    def forward(self, x):
        return self.last(torch.relu(self.conv(x)).flatten(1))


def odd():
    return nn.Sequential(nn.Flatten(), nn.Linear(7, 2))
"""
RECIPE = {"method": "integernet", "bits": 4, "epochs": 40, "batch": 8, "model_args": {"width": 3}}


def write(folder: Path, parts: tuple[str, ...] = ("train", "test")) -> Path:
    """Left and right halves that are bright, 5 x 6 pixels, as files and as arrays."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part in parts:
        x = rng.integers(0, 80, (24, 5, 6)).astype(np.uint8)
        y = np.arange(24) % 2
        x[y == 0, :, :3] += 150
        x[y == 1, :, 3:] += 150
        for k in range(24):
            place = folder / "halves" / part / ("left", "right")[y[k]]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(x[k]).save(place / f"{k:02}.png")
        before = "train_" if part == "train" else ""
        arrays |= {f"{before}frames": x[:, None], f"{before}labels": y}
    np.savez(folder / "halves.npz", **arrays)
    (folder / "net.py").write_text(SOURCE)
    return folder


@pytest.mark.parametrize("data", ["halves", "halves.npz"])
def test_a_module_and_data_of_the_users_own(data: str, tmp_path: Path) -> None:
    write(tmp_path)
    entries = RECIPE | {"data": str(tmp_path / data), "model": f"{tmp_path / 'net.py'}:Net"}
    trained = api.train(filled("r.toml", entries))
    assert trained.report.accuracy["integers"] > 0.9
    network = trained.network
    assert (network.input.shape, network.input.high, network.classes) == ((1, 5, 6), 255, 2)
    kept = json.loads(network.meta["recipe"])
    assert (kept["data"], kept["model"]) == (data, "net.py:Net")
    images = api.frames(network, str(tmp_path / data))
    assert images.labels is not None and len(images.pixels) == 24
    assert api.evaluate(network, images)["accuracy"] == trained.report.accuracy["integers"]


def test_files_and_arrays_are_the_same(tmp_path: Path) -> None:
    write(tmp_path)
    files, arrays = load(str(tmp_path / "halves")), load(str(tmp_path / "halves.npz"))
    for part in ("train", "test"):
        x, y = (getattr(files, f"{part}_{k}") for k in "xy")
        other_x, other_y = (getattr(arrays, f"{part}_{k}") for k in "xy")
        order = np.argsort(other_y, kind="stable")
        assert np.array_equal(x, other_x[order]) and np.array_equal(y, other_y[order])


def test_what_cannot_be_trained_on(tmp_path: Path) -> None:
    write(tmp_path, ("train",))
    for data, words in (("halves", "training needs folders train and test"),
                        ("halves.npz", "training needs an array 'frames' too, beside train_frames, train_labels"),
                        ("none.npz", "none.npz: no such file")):  # fmt: skip
        with pytest.raises(DataError, match=words):
            load(str(tmp_path / data))
    write(tmp_path)
    (tmp_path / "halves/test/left").rename(tmp_path / "halves/test/up")
    with pytest.raises(DataError, match="train has the classes left, right, test has right, up"):
        load(str(tmp_path / "halves"))


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("Nett", {}, r"net.py has no 'Nett' \(is 'Net' meant\?\); it has Net, odd"),
        ("Net", {"wide": 3}, r"Net: got an unexpected keyword argument 'wide'.*model_args"),
        ("odd", {}, r"odd: RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
    ],
)
def test_modules_that_do_not_fit(name: str, args: dict[str, Any], words: str, tmp_path: Path) -> None:
    write(tmp_path)
    model = f"{tmp_path / 'net.py'}:{name}"
    recipe = filled("r.toml", RECIPE | {"data": str(tmp_path / "halves"), "model": model, "model_args": args})
    with pytest.raises(RecipeError, match=words):
        api.train(recipe)


def test_classes_that_a_module_does_not_give(tmp_path: Path) -> None:
    write(tmp_path)
    text = SOURCE.replace("num_classes, width", "other=3, width").replace(", num_classes)", ", other)")
    (tmp_path / "net.py").write_text(text)
    recipe = filled("r.toml", RECIPE | {"data": str(tmp_path / "halves"), "model": f"{tmp_path / 'net.py'}:Net"})
    with pytest.raises(RecipeError, match=r"gives \(2, 3\) for 2 images of \(1, 5, 6\), not \(2, 2\), the classes of"):
        api.train(recipe)
