"""Photographs with the faces in them framed: those of the floats beside those of the integers.

``python -m examples.face_detector.draw NETWORK --weights FILE -o faces.png`` draws a few of the images to test on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import spikeloom
from spikeloom.quant.models.weights import fill

from . import photographs
from .boxes import faces
from .compare import floats, integers
from .net import Slim

__all__ = ["beside", "framed"]

FLOATS, INTEGERS = (60, 150, 255), (255, 140, 30)
"""Colours of the frames."""

SHOWN = (1, 7, 13)
"""Images to test on that are drawn."""


def framed(pixels: np.ndarray, found: np.ndarray, colour: tuple[int, int, int], thick: int = 2) -> np.ndarray:
    """``pixels`` (H, W, 3) with a frame ``thick`` pixels wide around each face of ``found`` (n, 5).

    >>> framed(np.zeros((9, 9, 3), np.uint8), np.array([[2, 2, 7, 7, 1.0]]), (9, 9, 9), 1)[..., 0].sum() // 9
    np.uint64(16)
    """
    drawn = pixels.copy()
    height, width = drawn.shape[:2]
    for left, top, right, bottom in np.round(found[:, :4]).astype(int):
        inside = np.zeros((height, width), bool)
        inside[max(0, top) : bottom, max(0, left) : right] = True
        inside[max(0, top + thick) : max(0, bottom - thick), max(0, left + thick) : max(0, right - thick)] = False
        drawn[inside] = colour
    return drawn


def beside(pixels: np.ndarray, wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    """An image (3, H, W) twice, with the faces of the floats, ``wanted``, and those of the integers, ``found``."""
    plain = pixels.transpose(1, 2, 0)
    return np.concatenate([framed(plain, wanted, FLOATS), framed(plain, found, INTEGERS)], 1)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    from PIL import Image

    parser = argparse.ArgumentParser(description="Draw what floats (left) and integers (right) find.")
    parser.add_argument("network", type=Path, metavar="NETWORK")
    parser.add_argument("--weights", required=True, help="State dict of the floats.")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.png")
    given = parser.parse_args(arguments)
    pixels = np.ascontiguousarray(photographs.testing()[list(SHOWN)])
    model = Slim().eval()
    fill(model, given.weights)
    wanted = faces(floats(model, pixels), *photographs.SIZE)
    found = faces(integers(spikeloom.load(given.network), pixels), *photographs.SIZE)
    rows = [beside(*images) for images in zip(pixels, wanted, found, strict=True)]
    Image.fromarray(np.concatenate(rows)).save(given.output)
    print(f"wrote {given.output}")


if __name__ == "__main__":
    main()
