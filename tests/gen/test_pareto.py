"""The Pareto filter against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from spikeloom.gen.folding.pareto import undominated


def defined(figures: np.ndarray, groups: np.ndarray) -> list[int]:
    """Rows that no other of their group beats, each compared with each."""
    found = []
    for k, row in enumerate(figures):
        rivals = [j for j in range(len(figures)) if j != k and groups[j] == groups[k] and (figures[j] <= row).all()]
        if not any((figures[j] < row).any() or j < k for j in rivals):
            found.append(k)
    return found


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("values", [3, 40, None], ids=["many equal", "some equal", "reals"])
def test_the_filter_is_its_definition(columns: int, values: int | None) -> None:
    rng = np.random.default_rng(columns)
    for n in (1, 2, 30, 90):
        shape = (n, columns)
        figures = rng.normal(size=shape) if values is None else rng.integers(-1, values, shape).astype(float)
        groups = rng.integers(-2, 3, n)
        assert undominated(figures, groups).tolist() == defined(figures, groups)
        assert undominated(figures).tolist() == defined(figures, np.zeros(n))


def test_of_equal_rows_the_first_stays_in_every_group() -> None:
    figures = np.array([[2.0, 1.0], [1.0, 2.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0]])
    assert undominated(figures).tolist() == [0, 1]
    assert undominated(figures, np.array([0, 0, 1, 1, 1])).tolist() == [0, 1, 2, 4]


def test_no_rows() -> None:
    assert undominated(np.zeros((0, 3))).tolist() == []
