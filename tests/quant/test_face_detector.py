"""The example of a face detector: its host part, and, where the published weights are there, what integers find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import spikeloom
from examples.face_detector import boxes, compare, draw
from examples.face_detector.net import BOXES, STRIDES, Slim
from spikeloom.quant.models.weights import WeightsError, fill

SLIM = "ultralight-face-slim-320"


def test_one_square_for_every_box_that_maps_tell() -> None:
    assert boxes.STRIDES == STRIDES and [len(sides) for sides in boxes.SIDES] == list(BOXES)
    maps = Slim(1)(torch.zeros(1, 3, 240, 320))
    told = sum(maps[f"boxes{stride}"].numel() // 4 for stride in STRIDES)
    squares = boxes.priors(240, 320)
    assert len(squares) == told == 4420
    np.testing.assert_allclose(squares[0], (4 / 320, 4 / 240, 10 / 320, 10 / 240))
    np.testing.assert_allclose(squares[3], (12 / 320, 4 / 240, 10 / 320, 10 / 240))
    np.testing.assert_allclose(squares[-1], (288 / 320, 224 / 240, 256 / 320, 1.0))


def test_numbers_become_boxes() -> None:
    """A box of its square moved by a tenth of its sides and e^0.2 times as large."""
    square = np.array([0.5, 0.4, 0.2, 0.1])
    np.testing.assert_allclose(boxes.decoded(np.zeros(4), square), (0.4, 0.35, 0.6, 0.45))
    left, top, right, bottom = boxes.decoded(np.array([1.0, -1.0, 1.0, 0.0]), square)
    np.testing.assert_allclose(((left + right) / 2, (top + bottom) / 2), (0.52, 0.39))
    np.testing.assert_allclose((right - left, bottom - top), (0.2 * np.exp(0.2), 0.1))


def test_the_best_of_boxes_that_overlap_stays() -> None:
    found = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [8, 0, 18, 10], [50, 50, 60, 60.0]])
    assert boxes.suppressed(found, np.array([0.8, 0.9, 0.7, 0.6])).tolist() == [1, 2, 3]
    assert boxes.suppressed(found[:0], np.zeros(0)).tolist() == []


def test_a_face_is_found_where_the_maps_say_it() -> None:
    """One box of the second stride, row 3, column 5, its second square; the others speak against a face."""
    maps = {}
    for stride, many in zip(STRIDES, BOXES, strict=True):
        h, w = -(-240 // stride), -(-320 // stride)
        maps[f"scores{stride}"] = np.tile(np.array([4.0, -4.0])[:, None, None], (1, many, h, w)).reshape(1, -1, h, w)
        maps[f"boxes{stride}"] = np.zeros((1, 4 * many, h, w))
    maps["scores16"][0, 2:, 3, 5] = -2.0, 2.0
    (found,) = boxes.faces(maps, 240, 320)
    np.testing.assert_allclose(found, [[88 - 24, 56 - 24, 88 + 24, 56 + 24, 1 / (1 + np.exp(-4))]])


def test_faces_that_belong_together() -> None:
    one, other = [0.0, 0, 10, 10, 0.9], [20.0, 0, 30, 10, 0.8]
    wanted = np.array([one, other])
    assert compare.matched(wanted, wanted[::-1]) == compare.Match(2, (1.0, 1.0), 0, 0.0)
    found = compare.matched(wanted, np.array([[0.0, 0, 10, 8, 0.7], [1.0, 0, 10, 10, 0.9]]))
    assert found.overlap == (0.9, 0.0) and found.extra == 1 and found.least == 0.0
    assert compare.matched(wanted[:0], wanted) == compare.Match(0, (), 2, 0.0)


def test_frames_are_drawn_around_faces() -> None:
    both = draw.beside(np.zeros((3, 12, 14), np.uint8), np.array([[2.0, 2, 8, 9, 1.0]]), np.zeros((0, 5)))
    assert both.shape == (12, 28, 3) and not both[:, 14:].any()
    assert tuple(both[2, 2]) == draw.FLOATS and tuple(both[8, 7]) == draw.FLOATS and not both[5, 5].any()


def test_weights_that_are_missing_are_refused(tmp_path: Path) -> None:
    state = Slim(1).state_dict()
    del state["regression_headers.3.bias"]
    torch.save(state, tmp_path / "slim.pth")
    with pytest.raises(WeightsError, match=r"regression_headers.3.bias"):
        fill(Slim(1), tmp_path / "slim.pth")


@pytest.mark.slow
def test_integers_find_what_floats_find(data_dir: Path) -> None:
    """Every face of the floats, and no other one, in all images to test on. Among them are a tripod and a motorcycle,
    whose scores and boxes differ from processor to processor: on some the tripod overlaps by less."""
    photographs = pytest.importorskip("examples.face_detector.photographs")
    pytest.importorskip("skimage", reason="the extra 'faces' is not installed")
    weights = data_dir / "weights" / f"{SLIM}.pth"
    if not weights.is_file():
        pytest.skip(f"no {weights.name} in the folder that SPIKELOOM_DATA names")
    model = Slim().eval()
    fill(model, weights)
    seen = {"pixel_range": (0, 255), "mean": 127, "std": 128}
    made = spikeloom.convert(model, calibrate=photographs.calibrating(), test_images=1, **seen)
    pixels = photographs.testing()
    wanted = boxes.faces(compare.floats(model, pixels), 240, 320)
    found = boxes.faces(compare.integers(made.network, pixels), 240, 320)
    matches = [compare.matched(*pair) for pair in zip(wanted, found, strict=True)]
    assert sum(match.wanted for match in matches) == 21
    assert min(match.least for match in matches) >= 0.9 and not any(match.extra for match in matches)
