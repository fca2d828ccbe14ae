"""A model and its integers on test images: whether it sees what it was trained on, and what the integers cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from .analysis.errors import LayerNoise, compare, float_classes
from .frontends.layers import Layer
from .images import Images
from .ir.network import Network
from .seen import Seen, SeenError

__all__ = ["Tried", "check_range", "tried"]

SHOWN, FEWEST, BETTER = 256, 20, 0.15
"""Test images that other ranges of pixels are tried on, at most and at least, and how much more must be right there,
beyond two standard deviations, for a refusal."""


@dataclass(frozen=True)
class Tried:
    """``layers``, the noise of each; ``agreement``, the share of images that floats and integers give one class, None
    of maps; ``accuracy`` of "floats" and "integers", empty where nobody knows the classes; ``warning``, or an empty
    text."""

    layers: Sequence[LayerNoise]
    agreement: float | None
    accuracy: dict[str, float] = field(default_factory=dict)
    warning: str = ""


def check_range(layers: Sequence[Layer], testing: Images, high: int, seen: Seen) -> None:
    """Raise SeenError where the model of ``layers`` plainly saw pixels in another range than ``seen``, which nobody has
    said, and there are labels that tell."""
    some = testing.some(SHOWN)
    if some.labels is None or len(some.pixels) < FEWEST:
        return
    mine = _right(float_classes(layers, seen.images(some.pixels, high)), some.labels)
    for other in seen.others(high):
        theirs = _right(float_classes(layers, other.images(some.pixels, high)), some.labels)
        if theirs > mine + BETTER + len(some.pixels) ** -0.5:
            low, most = other.pixels
            raise SeenError(
                f"The model is right for {mine:.0%} of {len(some.pixels)} images of {some.name} where it sees {seen}, "
                f"and for {theirs:.0%} where it sees {other}; say what it saw: --pixel-range {low:g},{most:g}, or 0,1 "
                "if that is meant (pixel_range)"
            )


def tried(
    network: Network,
    layers: Sequence[Layer],
    testing: Images,
    seen: Seen,
    progress: Callable[[int, int], None] | None = None,
) -> Tried:
    """``network`` and the float graph ``layers``, which takes what is ``seen``, on the images ``testing``. Raises
    NetworkError for a label that is no class."""
    labels = testing.labels
    if labels is not None:
        network.check_labels(labels, testing.name)
    found = compare(network, layers, testing.pixels, seen.images(testing.pixels, network.input.high), progress)
    agreement = _right(found.integers, found.floats) if network.classifies else None
    if labels is None:
        return Tried(found.layers, agreement)
    floats, guess = _right(found.floats, labels), float(np.bincount(labels).max()) / len(labels)
    warning = ""
    if floats <= guess + (guess * (1 - guess) / len(labels)) ** 0.5:
        warning = (
            f"the floats are right for {floats:.1%} of the test images, and the most frequent class is {guess:.1%} of "
            "them: this is no better than a guess, so the model is not trained, or it sees other numbers than it was "
            "trained on (--mean, --std, --pixel-range), or its classes have another order"
        )
    return Tried(found.layers, agreement, {"floats": floats, "integers": _right(found.integers, labels)}, warning)


def _right(classes: np.ndarray, labels: np.ndarray) -> float:
    return float((classes == labels).mean())
