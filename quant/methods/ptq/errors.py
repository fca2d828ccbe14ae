"""What quantisation did to every layer, and where it hurt most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["LayerError", "decibels", "table", "worst"]

BEST_DB = 120.0
"""Shown where there is no error at all."""


@dataclass(frozen=True)
class LayerError:
    """A layer of the float network beside its integers, on the calibration images.

    Attributes: ``name``; ``quantised_db``, signal to noise of the float results that are only put on the levels of the
    layer (None for the last layer, which has none); ``integers_db``, that of the integer network, with the errors of
    all layers before it; ``sources_db``, the least one of what it takes (None: the image); ``clipped``, share of the
    results beyond the highest level or the lowest; ``dead``, share of the channels whose integers are 0 for all images;
    ``range_used``, the mean over its channels of the largest weight, as a share of what its bits allow; ``padding_db``,
    signal to noise of integers in place of the 0 that the float network pads with (None where they are the same).
    """

    name: str
    quantised_db: float | None
    integers_db: float
    sources_db: float | None
    clipped: float
    dead: float
    range_used: float
    padding_db: float | None = None

    @property
    def added(self) -> float:
        """The noise of its results less that of what it takes, both as shares of the signal."""
        before = 0.0 if self.sources_db is None else 10 ** (-self.sources_db / 10)
        return 10 ** (-self.integers_db / 10) - before


def decibels(signal: float, noise: float) -> float:
    """Signal to noise, of two sums of squares, at most ``BEST_DB`` either way."""
    if noise <= signal * 10 ** (-BEST_DB / 10):
        return BEST_DB
    return -BEST_DB if signal <= 0 else max(-BEST_DB, 10 * math.log10(signal / noise))


def worst(layers: Sequence[LayerError]) -> LayerError:
    """The layer where accuracy is lost: whose noise is the most above that of what it takes."""
    return max(layers, key=lambda layer: layer.added)


def table(layers: Sequence[LayerError]) -> str:
    """The records as text, a line a layer, and below them the layer where accuracy is lost."""
    width = max(5, *(len(layer.name) for layer in layers))
    lines = [f"{'layer':<{width}}  quantised  integers  clipped    dead  range"]
    for layer in layers:
        alone = "        -" if layer.quantised_db is None else f"{layer.quantised_db:6.1f} dB"
        lines.append(
            f"{layer.name:<{width}}  {alone}  {layer.integers_db:5.1f} dB  {layer.clipped:6.2%}  {layer.dead:6.1%}  "
            f"{layer.range_used:5.0%}"
        )
    for layer in layers:
        if layer.padding_db is not None:
            lines.append(f"{layer.name}: whole pixels as padding, in place of the mean: {layer.padding_db:.1f} dB")
    most = worst(layers)
    before = "" if most.sources_db is None else f", {most.sources_db:.1f} dB before it"
    lines.append(f"most is lost in {most.name}: {most.integers_db:.1f} dB{before}")
    return "\n".join(lines)
