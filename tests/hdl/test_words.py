"""Word formats: packing, widths, range checks."""

import numpy as np
import pytest

from spikeloom.hdl.streams.words import WordFormat, bits_for


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 0, (1, False)),
        (0, 1, (1, False)),
        (0, 255, (8, False)),
        (0, 256, (9, False)),
        (-1, 0, (1, True)),
        (-1, 1, (2, True)),
        (-8, 7, (4, True)),
        (-9, 7, (5, True)),
        (-8, 8, (5, True)),
        (-1, 127, (8, True)),
        (3, 9, (4, False)),
    ],
)
def test_bits_for_is_the_narrowest_integer(low: int, high: int, expected: tuple[int, bool]) -> None:
    assert bits_for(low, high) == expected


@pytest.mark.parametrize(
    "form",
    [
        WordFormat(1, 1, 0, 1),
        WordFormat(3, 4, 0, 1),
        WordFormat(5, 2, -7, 7),
        WordFormat(16, 4, 0, 4),
        WordFormat(2, 1, -100000, 3),
    ],
)
def test_pack_and_unpack(form: WordFormat) -> None:
    elements = np.random.default_rng(1).integers(form.low, form.high + 1, (20, form.lanes, form.steps))
    elements[0], elements[1] = form.low, form.high
    words = form.pack(elements)
    assert words.shape == (20, -(-form.lanes * form.steps * form.bits // 32)) and words.dtype == np.uint32
    assert np.array_equal(form.unpack(words), elements)


def test_layout_is_lane_by_lane_with_the_first_time_step_lowest() -> None:
    form = WordFormat(2, 3, 0, 1)
    assert form.pack(np.array([[[1, 0, 0], [0, 1, 1]]])).tolist() == [[0b110_001]]


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Elements must be in 0\.\.1, found 0\.\.2"):
        WordFormat(1, 1, 0, 1).pack(np.array([[[2]], [[0]]]))
    with pytest.raises(ValueError, match="must have shape"):
        WordFormat(2, 1, 0, 1).pack(np.zeros((1, 1, 1), int))
    with pytest.raises(ValueError, match="must be positive"):
        WordFormat(0, 1, 0, 1)
