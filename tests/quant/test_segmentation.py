"""The example that says what every pixel is: its scenes and figures, and, where the data are, what integers lose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import spikeloom
from examples.segmentation import compare, data, draw
from examples.segmentation.net import UNet
from spikeloom.quant.data import Dataset
from spikeloom.quant.models.weights import fill

WEIGHTS = Path(compare.__file__).with_name("unet.pt")


def test_what_lies_in_front_is_what_a_pixel_is() -> None:
    pixels, truth = np.full((4, 5), 9, np.uint8), np.zeros((4, 5), np.uint8)
    data.placed(pixels, truth, np.full((2, 3), 200, np.uint8), 1, 2, 1)
    data.placed(pixels, truth, np.array([[data.INK, data.INK - 1, 90]], np.uint8), 2, 1, 2)
    assert truth.tolist() == [[0, 0, 0, 0, 0], [0, 0, 1, 1, 1], [0, 2, 1, 2, 1], [0, 0, 0, 0, 0]]
    assert pixels[2].tolist() == [9, data.INK, 200, 90, 200]


def test_shares_of_each_class() -> None:
    truth = np.array([[0, 0, 1, 1], [2, 2, 2, 0]])
    assert compare.unions(truth, truth) == [1, 1, 1]
    assert compare.unions(np.array([[0, 1, 1, 1], [2, 2, 0, 0]]), truth) == [2 / 4, 2 / 3, 2 / 3]


def test_pixels_are_drawn_side_by_side() -> None:
    pixels, classes = np.full((1, 2, 3), 7, np.uint8), np.array([[0, 1, 2], [2, 2, 2]])
    shown = draw.row(pixels, classes, classes)
    assert shown.shape == (2 * draw.SCALE + draw.GAP, 3 * (3 * draw.SCALE + draw.GAP), 3)
    assert shown[0, 0].tolist() == [7, 7, 7] and (shown[-1] == 255).all()
    second = shown[0, 3 * draw.SCALE + draw.GAP + draw.SCALE]
    assert second.tolist() == draw.COLOURS[1].tolist()


@pytest.mark.slow
def test_integers_say_what_floats_say(real: Callable[[str], Dataset]) -> None:
    """Within a point of the pixels, on 500 scenes; and the floats are good."""
    for name in ("mnist", "fashion"):
        real(name)
    model, tested = UNet().eval(), data.testing(500)
    fill(model, WEIGHTS)
    made = spikeloom.convert(model, calibrate=data.scenes("train", 256, 2).pixels, bits=4, weight_bits=4,
                             test_images=1, method="ptq")  # fmt: skip
    floats = float((compare.floats(WEIGHTS, tested.pixels) == tested.truth).mean())
    integers = float((compare.integers(made.network, tested.pixels) == tested.truth).mean())
    assert floats > 0.98 and abs(floats - integers) < 0.002
