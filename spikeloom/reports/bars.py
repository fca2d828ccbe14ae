"""A histogram as a small SVG, in the colours of ``page.css``: many of them stand in a table."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup, escape

from ..quant.analysis.histograms import Histogram

__all__ = ["bars"]

WIDE, HIGH, TEXT = 168, 42, 13
"""Pixels of the bars, and of the line of figures below them."""

MOST = 84
"""Bars of a picture at most; several bins are one where there are more."""


def bars(found: Histogram, kind: str, marks: tuple[int, ...] = ()) -> Markup:
    """``found`` from its lowest number to its highest, 0 and ``marks`` among them; ``kind`` is a class of ``page.css``.

    Heights are the square roots of the counts, so that rare numbers are seen. What is beyond the bins is in the first
    and the last bar, and the figure below says so.
    """
    counts = found.counts.copy()
    counts[0] += found.below
    counts[-1] += found.above
    needed = [mark * found.parts - found.low for mark in (0, *marks)]
    inside = [k for k in (*np.flatnonzero(counts).tolist(), *needed) if 0 <= k < len(counts)]
    first, last = min(inside, default=0), max(inside, default=0)
    low, high = (found.low + first) / found.parts, (found.low + last) / found.parts
    step = -(-(last - first + 1) // MOST)
    first -= (first + found.low) % step  # bars begin at multiples of their width, 0 among them
    last += (first - last - 1) % step
    padded = np.concatenate([counts, np.zeros(max(0, last + 1 - len(counts)), np.int64)])
    before = np.zeros(max(0, -first), np.int64)
    grouped = np.concatenate([before, padded[max(first, 0) : last + 1]]).reshape(-1, step).sum(1)
    heights = HIGH * np.sqrt(grouped / max(1, int(grouped.max(initial=0))))
    width = WIDE / len(grouped)
    gap = min(1.0, width / 5)
    path = "".join(f"M{k * width:.1f} {HIGH}v{-max(h, 0.8):.1f}h{width - gap:.1f}v{max(h, 0.8):.1f}z"
                   for k, h in enumerate(heights.tolist()) if h)

    def place(units: float) -> float:
        return (units * found.parts - found.low - first) / step * width

    lines = "".join(f'<path class="mark" d="M{place(mark):.1f} 0V{HIGH}"/>' for mark in marks)
    ends = [f"{'≤ ' if found.below else ''}{low:.4g}", f"{'≥ ' if found.above else ''}{high:.4g}"]
    zero = place(0) + width / 2 if found.parts == 1 else place(0)
    middle = f'<text class="middle" x="{zero:.1f}" y="{HIGH + TEXT}">0</text>' if 30 < zero < WIDE - 30 else ""
    label = f"{found.total:,} numbers, {ends[0]} to {ends[1]}"
    return Markup(f'<svg class="bars {escape(kind)}" viewBox="0 0 {WIDE} {HIGH + TEXT + 3}" role="img" '
                  f'aria-label="{label}"><title>{label}</title><path d="{path}"/>{lines}'
                  f'<path class="base" d="M0 {HIGH}H{WIDE}"/><text x="0" y="{HIGH + TEXT}">{ends[0]}</text>{middle}'
                  f'<text class="end" x="{WIDE}" y="{HIGH + TEXT}">{ends[1]}</text></svg>')
