"""How busy a network is: spikes, synaptic operations, and the energy estimate of the papers.

A spike costs one accumulation at every synapse that it reaches (0.9 pJ), a value one multiplication and accumulation
(4.6 pJ); synapses on padding do not exist. The energies are those of 32-bit floating point in 45 nm (Horowitz,
"Computing's energy problem", ISSCC 2014), which the papers on conversion use; they say nothing of the hardware that is
generated here. The first layer counts (its pixels are values, its current is computed once), and so does the last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .. import execute
from ..ir.network import Network
from ..ir.ops import Gain, Synapse
from ..result import classes_over_time

__all__ = ["ACCUMULATE", "MULTIPLY", "Activity", "LayerActivity", "measure"]

ACCUMULATE = 0.9
"""Energy of an accumulation in pJ."""

MULTIPLY = 4.6
"""Energy of a multiplication and accumulation in pJ."""

CHUNK = 256
"""Frames at a time."""


@dataclass(frozen=True)
class LayerActivity:
    """A layer with synapses (or an identity shortcut), on average over the frames.

    Attributes: ``name``; ``spiking``, whether spikes come in, not values; ``rate``, spikes a neuron and time step that
    come in, of values the share that is not zero; ``synapses``, operations of the layer with all its inputs once: the
    multiplications and accumulations of the ANN; ``operations``, synaptic operations an image: accumulations over
    all time steps where spikes come in, else as ``synapses``.
    """

    name: str
    spiking: bool
    rate: float
    synapses: int
    operations: float

    @property
    def picojoules(self) -> float:
        """Energy of an image."""
        return self.operations * (ACCUMULATE if self.spiking else MULTIPLY)


@dataclass(frozen=True)
class Activity:
    """A network on frames.

    Attributes: ``layers``; ``classes_over_time`` (N, T), the class of every frame after t = 1..T steps, the last one
    being the answer.
    """

    layers: tuple[LayerActivity, ...]
    classes_over_time: np.ndarray

    @property
    def operations(self) -> float:
        """Synaptic operations an image."""
        return sum(layer.operations for layer in self.layers)

    @property
    def nanojoules(self) -> float:
        """Energy an image."""
        return sum(layer.picojoules for layer in self.layers) / 1000

    @property
    def ann_operations(self) -> int:
        """Multiplications and accumulations of the ANN with the same layers."""
        return sum(layer.synapses for layer in self.layers)

    @property
    def ann_nanojoules(self) -> float:
        """Energy of that ANN an image; adding an identity shortcut multiplies nothing."""
        return self.ann_operations * MULTIPLY / 1000


def measure(network: Network, frames: np.ndarray, *, progress: Callable[[int, int], None] | None = None) -> Activity:
    """Run ``network`` on ``frames`` (N, C, H, W) by the golden model, and count.

    ``progress`` is called with (frames done, all frames). Raises NetworkError where the frames do not fit.
    """
    frames = network.check_frames(frames)
    layers = [node for node in network if isinstance(node, Synapse | Gain)]
    sources = {node.source for node in layers}
    fans = {node.name: node.fan_out(network.signals[node.source].shape) for node in layers}
    spikes, active = {node.name: 0.0 for node in layers}, dict.fromkeys(sources, 0.0)
    last, classes = network.nodes[-1].source, []
    for start in range(0, len(frames), CHUNK):
        found = execute.run(network, frames[start : start + CHUNK], keep=(last,), counts=sources)
        classes.append(classes_over_time(network, found[last]))
        for name, count in found.counts.items():
            active[name] += float((count if network.signals[name].kind == "spikes" else count != 0).sum())
        for node in layers:
            spikes[node.name] += float((found.counts[node.source].sum(0) * fans[node.name]).sum())
        if progress:
            progress(min(start + CHUNK, len(frames)), len(frames))
    made = []
    for node in layers:
        source, fan = network.signals[node.source], fans[node.name]
        spiking = source.kind == "spikes"
        places = len(frames) * fan.size * max(1, source.high if spiking else 1) * (network.steps if spiking else 1)
        synapses = int(fan.sum()) if isinstance(node, Synapse) else 0
        operations = spikes[node.name] / len(frames) if spiking else float(fan.sum())
        made.append(LayerActivity(node.name, spiking, active[node.source] / places, synapses, operations))
    return Activity(tuple(made), np.concatenate(classes))
