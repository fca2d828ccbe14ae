"""The spiking CNN of sinabs, read from its NIR file, on MNIST seen as a sensor of events sees it: table of
``docs/nir.md``.

``python -m benchmarks.nir`` measures all rows on 2,000 test images and writes the table; ``--held-out N`` takes N
training images in their place, to choose settings by, and writes nothing. MNIST and the file are in the folder that
SPIKELOOM_DATA names.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from spikeloom import api
from spikeloom.quant import golden
from spikeloom.quant.data import load

__all__ = ["events", "main"]

FILE = "weights/sinabs-scnn_mnist.nir"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "nir.md"
SHIFT = 2, 1
"""Rows and columns by which the digit moves in a frame: down and a little to the right."""

ROWS = ((8, 0.5), (16, 0.5), (32, 0.15), (64, 0.1))
"""Time steps, and events a step and pixel where the light changes most."""

IMAGES = 2000

GREY = 0.2
"""Light of the background, with white at 1 + GREY: a sensor sees logarithms."""


def events(images: np.ndarray, high: int) -> np.ndarray:
    """Images (N, 1, 28, 28) in 0..``high`` as frames (N, 2, 34, 34) in 0..255 of the events of one movement: where it
    becomes lighter, and where it becomes darker, as rates."""
    light = np.pad(images[:, 0] / high, ((0, 0), (3, 3), (3, 3)))
    change = np.log(np.roll(light, SHIFT, (1, 2)) + GREY) - np.log(light + GREY)
    both = np.stack([change, -change], 1).clip(0) / np.log(1 / GREY + 1)
    return np.rint(255 * both).astype(np.int64)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--held-out", type=int, default=0)
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    data = load("mnist")
    images, labels = data.test_x[:IMAGES], data.test_y[:IMAGES]
    if given.held_out:
        images, labels = data.train_x[-given.held_out :], data.train_y[-given.held_out :]
    frames = events(images, data.high)
    lines = ["| time steps | events a step at most | accuracy, % | spikes a neuron and step |", "|---:|---:|---:|---:|"]
    for steps, most in ROWS:
        path = Path(os.environ["SPIKELOOM_DATA"]) / FILE
        network = api.convert(path, steps=steps, pixel_range=(0.0, most), notice=print)
        right, rates = 0, list[float]()
        for start in range(0, len(frames), 100):
            found = golden.run(network, frames[start : start + 100])
            right += int((found.logits.argmax(1) == labels[start : start + 100]).sum())
            rates.append(float(np.mean([found[name].mean() for name in ("1", "3", "6", "10", "12")])))
        lines.append(f"| {steps} | {most:g} | {100 * right / len(frames):.1f} | {np.mean(rates):.3f} |")
        print(lines[-1], flush=True)
    if not given.held_out:
        head, _, rest = PAGE.read_text().partition("<!-- nir -->\n")
        PAGE.write_text("\n".join([f"{head}<!-- nir -->", *lines, f"<!-- end -->{rest.partition('<!-- end -->')[2]}"]))


if __name__ == "__main__":
    main()
