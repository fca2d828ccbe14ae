"""How the numbers of a network are spread: its weights; what its activations give for images; and what neurons and
quantisers compare with their thresholds before that. All are integers, and so are all counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .. import execute
from ..ir.network import Network
from ..ir.ops import Synapse
from ..result import classes_over_time

__all__ = ["Compared", "Histogram", "Spread", "measure", "of_weights"]

ELEMENTS = 1 << 22
"""Results that are held at once."""

MOST_PARTS = 8
"""Bins of a threshold, where it does not take more than :data:`BINS` of them to the highest one."""

BINS = 128


@dataclass(eq=False)
class Histogram:
    """Integers counted in bins of equal width: bin k holds x with low + k <= ``parts`` * x / unit < low + k + 1; the
    units are those of :meth:`add`. ``below`` and ``above`` are numbers beyond the bins; ``counts`` (bins,)."""

    low: int
    high: int
    parts: int = 1
    below: int = 0
    above: int = 0
    counts: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.counts = np.zeros(self.high - self.low + 1, np.int64)

    def add(self, values: np.ndarray, unit: np.ndarray | None = None) -> None:
        """Count ``values``; ``unit`` (C,), positive, is what they are divided by, with the channels as their third
        axis."""
        bins = values.astype(np.int64) * self.parts
        if unit is not None:
            bins //= unit.reshape(-1, 1, 1)
        bins -= self.low
        counted = np.bincount(np.clip(bins, -1, len(self.counts)).ravel() + 1, minlength=len(self.counts) + 2)
        self.below += int(counted[0])
        self.above += int(counted[-1])
        self.counts += counted[1:-1]

    @property
    def total(self) -> int:
        """How many numbers were counted."""
        return self.below + self.above + int(self.counts.sum())

    def at(self, value: int) -> int:
        """How many are in the bin of ``value``, in units."""
        return int(self.counts[value * self.parts - self.low])

    def share_from(self, value: int) -> float:
        """The share of ``value`` units and more."""
        return (self.above + int(self.counts[value * self.parts - self.low :].sum())) / max(1, self.total)

    def figures(self) -> dict[str, object]:
        """As JSON values: the edge of the first bin, the width of all, both in units, and the counts."""
        return {"first": self.low / self.parts, "width": 1 / self.parts, "below": self.below, "above": self.above,
                "counts": self.counts.tolist()}  # fmt: skip


@dataclass(frozen=True)
class Compared:
    """What a node compares with its constants (``quant.ir.node.Tested``): its ``histogram``, ``title``, ``mark`` and
    ``beyond``."""

    histogram: Histogram
    title: str
    mark: int
    beyond: str

    @property
    def share(self) -> float:
        """The share that is ``beyond``."""
        return self.histogram.share_from(self.mark)


@dataclass(frozen=True)
class Spread:
    """A network on images.

    Attributes: ``classes`` (N,), and ``over_time`` (N, T), those after t = 1..T steps, both empty of
    maps; ``activations``, by node, the values that it gave, of spikes the number of each neuron and image, and of the
    first node the pixels; ``tested``, by node, what it compared with its thresholds, in these (``Node.tested``);
    ``silent``, by node, the share of its channels that gave nothing but 0.
    """

    classes: np.ndarray
    over_time: np.ndarray
    activations: dict[str, Histogram]
    tested: dict[str, Compared]
    silent: dict[str, float]


def of_weights(network: Network) -> dict[str, Histogram]:
    """The weights of every node that has some, a bin for each value of its bits; of one bit, for -1, 0 and +1."""
    found = {}
    for node in network:
        if isinstance(node, Synapse):
            most = 1 << (node.weight_bits - 1)
            found[node.name] = Histogram(-most, max(1, most - 1))
            found[node.name].add(node.weight)
    return found


def measure(network: Network, frames: np.ndarray, *, progress: Callable[[int, int], None] | None = None) -> Spread:
    """Run ``network`` on ``frames`` (N, C, H, W) by the golden model, and count.

    ``progress`` is called with (frames done, all frames). Raises NetworkError where the frames do not fit.
    """
    frames = network.check_frames(frames)
    layers, first, last = [node for node in network if node.activation], network.nodes[0], network.nodes[-1].source
    signals, steps = network.signals, network.steps
    kept = {last, *(name for node in layers for name in (node.name, node.source))}
    held = sum(int(np.prod(signals[name].shape)) * (steps if signals[name].timed else 1) for name in kept)
    chunk = max(1, min(256, ELEMENTS // max(1, held)))
    activations = {first.name: Histogram(0, network.input.high)}
    for node in layers:
        times = steps if signals[node.name].kind == "spikes" else 1
        activations[node.name] = Histogram(signals[node.name].low * times, signals[node.name].high * times)
    tested, active = dict[str, Compared](), dict[str, np.ndarray]()
    classes, over_time = [], []
    for start in range(0, len(frames), chunk):
        part = frames[start : start + chunk]
        found = execute.run(network, part, keep=kept)
        classes.append(found.classes if network.classifies else np.zeros(0, np.int64))
        over_time.append(classes_over_time(network, found[last]))
        activations[first.name].add(part)
        for node in layers:
            result = found[node.name]
            timed = signals[node.name].timed
            activations[node.name].add(result.sum(1, dtype=np.int64) if timed else result)
            now = (result != 0).any((0, 1, 3, 4) if timed else (0, 2, 3))
            active[node.name] = active.get(node.name, False) | now
            if (test := node.tested(found[node.source], result, steps)) is not None:
                if node.name not in tested:
                    bins = _bins(activations[node.name])
                    tested[node.name] = Compared(bins, test.title, test.mark, test.beyond)
                tested[node.name].histogram.add(test.values, test.unit)
        if progress:
            progress(min(start + chunk, len(frames)), len(frames))
    silent = {name: float((~channels).mean()) for name, channels in active.items()}
    return Spread(np.concatenate(classes), np.concatenate(over_time), activations, tested, silent)


def _bins(results: Histogram) -> Histogram:
    """Bins for what decides on ``results``: one threshold more on both sides, where it is a number of spikes as a
    membrane may go below 0 too; for many levels a bin is a whole one."""
    high = results.high + 2
    low = min(results.low, -high + 1) - 1
    parts = max(1, min(MOST_PARTS, BINS // (high - low)))
    return Histogram(low * parts, high * parts - 1, parts)
