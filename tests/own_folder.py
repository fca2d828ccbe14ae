"""A user's folder with a module, its weights and images, and the command that converts it: for the tests of convert."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from spikeloom import api
from spikeloom.quant.ir.network import Network
from spikeloom.quant.models.own import own_model

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


class Softmax(Net):
    def forward(self, x):
        return self.last(torch.softmax(self.conv(x), 1).flatten(1))
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
        with torch.random.fork_rng():  # modules without a file of weights have the same ones every time
            torch.manual_seed(3)
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
