"""What a walk costs where all-zero words are skipped: a few numbers of each window position, from its words alone."""

from __future__ import annotations

import numpy as np

__all__ = ["ScanCosts", "mean_cycles", "scan_costs"]

ScanCosts = tuple[int, int, int, int]
"""(lead, body, tail, words) of a scan: see :func:`scan_costs`."""


def scan_costs(kept: np.ndarray) -> np.ndarray:
    """Return (lead, body, tail, words) of every scan, int64 (scans, 4), from the non-zero words (scans, C) of its C
    chunks in the order of the walk.

    Chunks come one a cycle; those without a word pass, the others are handed out word by word. With the chunks that
    hold words numbered 1..J, g_j the distance of chunk j from the one before and d the chunks behind chunk J:
    ``lead`` = place of chunk 1, counted from one; ``steps`` = sum over j < J of max(g_(j+1), words of chunk j);
    ``body`` = steps + max(words of chunk J, d), cycles to the last word; ``tail`` = steps + d, cycles until the last
    chunk has passed; ``words`` handed out. A scan without a word hands out one zero word, that of its last chunk.
    """
    scans, chunks = kept.shape
    kept = np.array(kept, np.int64)
    kept[~kept.any(axis=1), -1] = 1
    lead, steps, since, words = (np.zeros(scans, np.int64) for _ in range(4))
    for c in range(chunks):
        here = kept[:, c] > 0
        steps += np.where(here & (words > 0), np.maximum(since + 1, words), 0)
        lead += np.where(here & (lead == 0), c + 1, 0)
        since = np.where(here, 0, since + 1)
        words = np.where(here, kept[:, c], words)
    return np.stack([lead, steps + np.maximum(words, since), steps + since, kept.sum(axis=1)], axis=1)


def mean_cycles(costs: np.ndarray, repeats: int) -> float:
    """Mean cycles of a scan where nothing but the scans holds each other up, every position scanned ``repeats`` times:
    from one scan to the next the chunks walked in between, or the words handed out, whichever take longer."""
    lead, body, tail = costs[:, 0], costs[:, 1], costs[:, 2]
    again = np.maximum(tail + lead, body).sum()
    onward = np.maximum(tail + np.roll(lead, -1), body).sum()
    return float(again * (repeats - 1) + onward) / (repeats * len(costs))
