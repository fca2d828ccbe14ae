"""Scenes with a class for every pixel: a digit of MNIST and a piece of clothing of Fashion-MNIST on noise.

``python -m examples.segmentation.data -o scenes.npz`` writes images to calibrate with and to test on, as ``convert``,
``generate`` and ``verify`` take them. Both data sets are read from the folder in SPIKELOOM_DATA; nothing is downloaded.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from spikeloom.quant import data

__all__ = ["CLASSES", "SIDE", "Scenes", "placed", "scenes"]

CLASSES = ("background", "digit", "clothing")
"""What a pixel may be, by number."""

SIDE = 48
"""Height and width of a scene."""

INK = 48
"""A pixel of an object from this brightness on belongs to it; darker ones are what is behind it."""

NOISE = 160
"""Brightness below which noise lies."""


@dataclass(frozen=True)
class Scenes:
    """``pixels`` (N, 1, 48, 48), uint8; ``truth`` (N, 48, 48), the class of every pixel, uint8."""

    pixels: np.ndarray
    truth: np.ndarray


def placed(pixels: np.ndarray, truth: np.ndarray, thing: np.ndarray, top: int, left: int, kind: int) -> None:
    """Put ``thing`` (h, w) into a scene, ``pixels`` and ``truth`` (H, W) each, in front of what is there.

    >>> scene, truth = np.full((2, 3), 9, np.uint8), np.zeros((2, 3), np.uint8)
    >>> placed(scene, truth, np.array([[200, 3]], np.uint8), 1, 1, 2)
    >>> scene.tolist(), truth.tolist()
    ([[9, 9, 9], [9, 200, 9]], [[0, 0, 0], [0, 2, 0]])
    """
    here = slice(top, top + thing.shape[0]), slice(left, left + thing.shape[1])
    ink = thing >= INK
    pixels[here][ink] = thing[ink]
    truth[here][ink] = kind


def scenes(part: Literal["train", "test"], count: int, seed: int) -> Scenes:
    """``count`` scenes of the images of ``part`` of both data sets: noise of a brightness of its own, a digit and a
    piece of clothing at random places, either in front of the other one. The same for the same ``seed``. Raises
    DataError where a data set is not there."""
    rng = np.random.default_rng([seed, part == "test"])
    things = [getattr(data.load(name), f"{part}_x")[:, 0] for name in ("mnist", "fashion")]
    noise = rng.integers(0, NOISE, (count, SIDE, SIDE)) * rng.random((count, 1, 1))
    pixels, truth = noise.astype(np.uint8), np.zeros((count, SIDE, SIDE), np.uint8)
    for k in range(count):
        for kind in rng.permutation([1, 2]):
            thing = things[kind - 1][rng.integers(len(things[kind - 1]))]
            top, left = rng.integers(0, SIDE - np.array(thing.shape) + 1)
            placed(pixels[k], truth[k], thing, int(top), int(left), int(kind))
    return Scenes(pixels[:, None], truth)


TEST = 1000
"""Scenes to test on."""


def testing(count: int = TEST) -> Scenes:
    """The first of the scenes to test on."""
    return scenes("test", count, 1)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Write scenes to calibrate with and to test on.")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.npz")
    given = parser.parse_args(arguments)
    tested, seen = testing(), scenes("train", 256, 2)
    np.savez_compressed(given.output, frames=tested.pixels, train_frames=seen.pixels)
    shares = np.bincount(tested.truth.reshape(-1), minlength=len(CLASSES)) / tested.truth.size
    print(f"wrote {given.output}: {len(seen.pixels)} scenes to calibrate with, {len(tested.pixels)} to test on")
    print("pixels:", ", ".join(f"{name} {share:.1%}" for name, share in zip(CLASSES, shares, strict=True)))


if __name__ == "__main__":
    main()
