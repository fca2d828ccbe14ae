"""Some images of many are of all classes, whatever the order of the images."""

from __future__ import annotations

import numpy as np
import pytest

from spikeloom.quant.files.spread import spread


@pytest.mark.parametrize("total", [1, 2, 3, 10, 60, 397, 1000, 10_000, 59_999])
def test_different_numbers_all_over(total: int) -> None:
    assert np.array_equal(spread(total, None), np.arange(total))
    assert np.array_equal(spread(total, total + 1), np.arange(total))
    for count in {1, total // 3, total - 1} & set(range(1, total)):
        found = spread(total, count)
        assert len(set(found.tolist())) == count and found.min() >= 0 and found.max() < total
        gaps = np.diff(np.sort(np.append(found, found.min() + total)))
        assert gaps.max() <= 3 * total / count + 1
        assert np.array_equal(spread(total, max(1, count // 2)), found[: max(1, count // 2)])


@pytest.mark.parametrize("total", [100, 1000, 10_000])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_all_classes_are_among_them(total: int, classes: int) -> None:
    for labels in (np.arange(total) * classes // total, np.arange(total) % classes):
        found = np.bincount(labels[spread(total, 60)], minlength=classes)
        assert found.min() >= 0.5 * 60 / classes
