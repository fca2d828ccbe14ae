"""Post-training quantisation of given weights, measured: the table of ``docs/ptq.md``.

``python -m benchmarks.ptq`` measures all rows, ``python -m benchmarks.ptq values-8 spikes-15`` two of them; figures go
into ``benchmarks/ptq.json`` and the page after every row. ``--held-out N`` takes the last N training images in place of
the test images, to choose settings by, and writes nothing. Data sets and weights are in the folder that SPIKELOOM_DATA
names.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikeloom.quant import golden
from spikeloom.quant.data import Dataset, load
from spikeloom.quant.files.folders import data_file
from spikeloom.quant.frontends.layers import Layer
from spikeloom.quant.frontends.torch_fx.graph import trace
from spikeloom.quant.methods.ptq import quantise
from spikeloom.quant.methods.ptq.errors import table
from spikeloom.quant.models import load_weights, resnet

__all__ = ["FIGURES", "MEAN", "PAGE", "ROWS", "STD", "float_layers", "main", "page"]

WEIGHTS = "weights/akamaster-resnet20-12fca82f.th"
DEEP_WEIGHTS = "weights/akamaster-resnet56-4bfd9763.th"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the images that the given ResNets were trained on."""

EDGES: dict[str, Any] = {"first_bits": 8, "last_bits": 8}


FIGURES = Path(__file__).resolve().parent / "ptq.json"
PAGE = FIGURES.parents[1] / "docs" / "ptq.md"

NETWORKS = {"resnet20": "ResNet-20, CIFAR-10", "resnet56": "ResNet-56, CIFAR-10", "cnn": "CNN, MNIST"}
GIVEN = {"resnet20": (WEIGHTS, 20), "resnet56": (DEEP_WEIGHTS, 56)}
"""Files of published weights, and the layers of each network."""


@dataclass(frozen=True)
class Row:
    """A row: ``network``; ``settings`` of ``quantise``; ``images`` that it is calibrated on."""

    network: str
    settings: dict[str, Any]
    images: int = 1000


ROWS = {
    "values-8": Row("resnet20", {"form": "values"}),
    "spikes-15": Row("resnet20", {"form": "spikes", "steps": 15}),
    "spikes-7": Row("resnet20", {"form": "spikes", "steps": 7}),
    "spikes-15-w4": Row("resnet20", {"form": "spikes", "steps": 15, "weight_bits": 4, **EDGES}),
    "deep-values-8": Row("resnet56", {"form": "values"}),
    "mnist-values-8": Row("cnn", {"form": "values"}),
    "mnist-spikes-15": Row("cnn", {"form": "spikes", "steps": 15}),
}


def page(text: str, figures: dict[str, Any]) -> str:
    """``text`` of the page with the table of ``figures``."""
    lines = [
        "| network | form | weights | float | integers | difference | search |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for name in ROWS:
        if name in figures:
            row, settings = figures[name], figures[name]["settings"]
            form = f"spikes, T = {settings['steps']}" if settings["form"] == "spikes" else (
                f"values, {settings.get('bits', 8)} bits, gains 2^k")
            form += f", {settings['reconstruct']} epochs of reconstruction" if settings.get("reconstruct") else ""
            bits = f"{settings.get('weight_bits', 8)} bits"
            bits += ", first and last layer 8" if "first_bits" in settings else ""
            before, after = row["float_percent"], row["integers_percent"]
            lines.append(f"| {NETWORKS[ROWS[name].network]} | {form} | {bits} | {before:.2f} % | {after:.2f} % | "
                         f"{after - before:+.2f} | {row['seconds']} s |")
    head, rest = text.split("<!-- ptq -->\n")
    return head + "\n".join(["<!-- ptq -->", *lines, "<!-- end -->"]) + rest.partition("<!-- end -->")[2]


def given_resnet(path: Path, depth: int = 20) -> nn.Module:
    """The ResNet of ``depth`` layers with the published weights; it takes images (x - MEAN) / STD."""
    model = resnet((3, 32, 32), 10, depth=depth).eval()
    load_weights(model, path)
    return model


def float_layers(path: Path) -> list[Layer]:
    """Its layers."""
    return trace(given_resnet(path), (3, 32, 32))


def small_cnn(data: Dataset) -> nn.Module:
    """A CNN of two convolutions, trained for one epoch on pixels 0..1."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 49, 10),
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    x, y = torch.tensor(data.train_x), torch.tensor(data.train_y)
    for pick in torch.randperm(len(x)).split(100):
        optimiser.zero_grad()
        F.cross_entropy(model(x[pick].float() / data.high), y[pick]).backward()
        optimiser.step()
    return model.eval()


def accuracy(model: nn.Module, x: np.ndarray, y: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> float:
    """The share of images (N, C, H, W), 0..255, that the float ``model`` gets right."""
    m, s = (torch.tensor(a).view(-1, 1, 1) for a in (mean, std))

    def answers(part: Tensor) -> Tensor:
        return model((part.float() / 255 - m) / s).argmax(1)

    with torch.no_grad():
        found = torch.cat([answers(part) for part in torch.tensor(x).split(250)])
    return float((found.numpy() == y).mean())


def measure(names: Sequence[str], held_out: int, reconstruct: int | None, write: Any) -> None:
    """Measure the rows ``names``; ``write`` is called with the name of a row and its figures."""
    floats: dict[str, tuple[Dataset, nn.Module, float]] = {}
    for name in names:
        row = ROWS[name]
        given = GIVEN.get(row.network)
        mean, std = (MEAN, STD) if given else ((0.0,), (1.0,))
        if row.network not in floats:
            data = load("cifar10" if given else "mnist")
            data = data.held_out(held_out) if held_out else data
            model = given_resnet(data_file(given[0]), given[1]) if given else small_cnn(data)
            floats[row.network] = data, model, accuracy(model, data.test_x, data.test_y, mean, std)
        data, model, right = floats[row.network]
        settings: dict[str, Any] = row.settings | ({} if reconstruct is None else {"reconstruct": reconstruct})
        start = time.perf_counter()
        found = quantise(
            trace(model, data.shape), data.train_x[: row.images], shape=data.shape, input_high=data.high,
            mean=mean, std=std, **settings,
        )
        seconds = time.perf_counter() - start
        integers = golden.accuracy(found.network, data.test_x, data.test_y)
        print(f"{name}\n{table(found.layers)}\nfloat {right:.2%}, integers {integers:.2%}, {seconds:.0f} s", flush=True)
        write(name, {
            "data": data.name, "images": len(data.test_x), "settings": settings, "calibration": row.images,
            "float_percent": round(100 * right, 2), "integers_percent": round(100 * integers, 2),
            "seconds": round(seconds), "network": found.network.hash,
            "layers": [asdict(layer) for layer in found.layers],
        })


def main() -> None:
    """See the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", default=list(ROWS), help=", ".join(ROWS))
    parser.add_argument("--held-out", type=int, default=0, metavar="N")
    parser.add_argument("--reconstruct", type=int, default=None, metavar="EPOCHS")
    given = parser.parse_args()
    if unknown := set(given.rows) - set(ROWS):
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    torch.set_num_threads(1)

    def write(name: str, figures: dict[str, Any]) -> None:
        if not given.held_out:
            known = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
            FIGURES.write_text(json.dumps(known | {name: figures}, indent=1) + "\n")
            PAGE.write_text(page(PAGE.read_text(), known | {name: figures}))

    measure(given.rows, given.held_out, given.reconstruct, write)


if __name__ == "__main__":
    main()
