"""The Pareto filter: which rows of a table no other row beats.

Rows are looked at in ascending order of their columns, so that a row can be beaten by an earlier one only. Two columns
need the least of the second so far; three a staircase of the second and third; more are compared with all rows kept.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

__all__ = ["undominated"]


def undominated(figures: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Indices, ascending, of the rows of ``figures`` (n, m) that no other row of their group is at most as large as in
    every column; of equal ones the first. ``groups`` (n,), an integer a row; all are one group where it is None."""
    if not len(figures):
        return np.zeros(0, np.int64)
    groups = np.zeros(len(figures), np.int64) if groups is None else groups
    order = np.lexsort((*figures.T[::-1], groups))
    figures, groups = figures[order], groups[order]
    match figures.shape[1]:
        case 2:
            kept = _least(figures[:, 1], groups)
        case 3:
            kept = _staircase(figures, groups)
        case _:
            kept = _compared(figures, groups)
    return np.sort(order[kept])


def _least(second: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Of rows sorted by group and first column those whose ``second`` is less than that of all before in the group."""
    rank, place = (np.unique(values, return_inverse=True)[1] for values in (second, groups))
    rank = rank - place * len(rank)  # below all ranks of the groups before
    return np.flatnonzero(np.r_[True, rank[1:] < np.minimum.accumulate(rank)[:-1]])


def _staircase(figures: np.ndarray, groups: np.ndarray) -> list[int]:
    """Of rows sorted by group and first column those of which no row before in the group has less or the same in the
    second and third column."""
    kept: list[int] = []
    seconds: list[float] = []  # of the rows kept, ascending,
    thirds: list[float] = []  # and their third column, descending: one comparison decides
    group = None
    for k, (mine, second, third) in enumerate(zip(groups.tolist(), *figures[:, 1:].T.tolist(), strict=True)):
        if mine != group:
            group, seconds, thirds = mine, [], []
        low = bisect_right(seconds, second)
        if low and thirds[low - 1] <= third:
            continue
        kept.append(k)
        high = low
        while high < len(thirds) and thirds[high] >= third:
            high += 1
        seconds[low:high], thirds[low:high] = [second], [third]
    return kept


def _compared(figures: np.ndarray, groups: np.ndarray) -> list[int]:
    """Of rows sorted by group and first column those that no row before in the group beats."""
    kept: list[int] = []
    columns = np.empty((figures.shape[1] - 1, len(figures)))  # of the kept ones, without the first: it is no less
    first = 0  # of the kept ones, in the group
    for k in range(len(figures)):
        if k and groups[k] != groups[k - 1]:
            first = len(kept)
        beaten = np.ones(len(kept) - first, bool)
        for column, mine in zip(columns, figures[k, 1:], strict=True):
            beaten &= column[first : len(kept)] <= mine
        if not beaten.any():
            columns[:, len(kept)] = figures[k, 1:]
            kept.append(k)
    return kept
