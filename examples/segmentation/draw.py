"""Scenes beside what they are and what floats and integers say.

``python -m examples.segmentation.draw NETWORK --weights FILE -o segmentation.png`` draws a few scenes to test on, a row
each: the image, the truth, floats, integers.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import spikeloom

from .compare import floats, integers
from .data import testing

__all__ = ["coloured", "row"]

COLOURS = np.array([(24, 28, 36), (255, 140, 30), (60, 150, 255)], np.uint8)
"""Of the classes, by number."""

SHOWN, SCALE, GAP = 6, 4, 4
"""Scenes that are drawn, how large a pixel is, and the space between two images."""


def coloured(classes: np.ndarray) -> np.ndarray:
    """``classes`` (H, W) as pixels (H, W, 3).

    >>> coloured(np.array([[1, 0]])).tolist()
    [[[255, 140, 30], [24, 28, 36]]]
    """
    return COLOURS[classes]


def row(pixels: np.ndarray, *said: np.ndarray) -> np.ndarray:
    """The image ``pixels`` (1, H, W) and classes (H, W) side by side, every pixel enlarged."""
    images = [pixels[0][..., None].repeat(3, 2), *map(coloured, said)]
    large = [image.repeat(SCALE, 0).repeat(SCALE, 1) for image in images]
    return np.concatenate([np.pad(image, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for image in large], 1)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    from PIL import Image

    parser = argparse.ArgumentParser(description="Draw scenes, their truth, floats and integers.")
    parser.add_argument("network", type=Path, metavar="NETWORK")
    parser.add_argument("--weights", required=True, help="State dict of the floats.")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.png")
    given = parser.parse_args(arguments)
    tested = testing(SHOWN)
    said = floats(given.weights, tested.pixels), integers(spikeloom.load(given.network), tested.pixels)
    rows = [row(*images) for images in zip(tested.pixels, tested.truth, *said, strict=True)]
    Image.fromarray(np.concatenate(rows)[:-GAP, :-GAP]).save(given.output, optimize=True)
    print(f"wrote {given.output}")


if __name__ == "__main__":
    main()
