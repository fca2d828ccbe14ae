"""What frames reached of a network: values, both ways of every test, clamps, and whether a constant moved by one would
have shown. It is computed from the results of the golden model alone.

A word of the hardware is only as good as the frames that were compared: a threshold that no membrane came near may be
any other number. :class:`Reach` collects, from one batch of frames after the other, which branches were taken; what
``quant.analysis.possible`` derives that no frame can take is told apart from what these frames did not. Which branches
a node has, and how they are seen, its kind says (``quant.ir.reach``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..ir.network import Network
from ..ir.reach.node import NodeReach, Place
from .possible import possible

__all__ = ["Reach"]

CELLS = 1 << 15
"""Neurons at once, of as many frames as that takes: they stay in the cache."""


@dataclass(eq=False)
class Reach:
    """What frames reached of ``network``; ``counted`` names the nodes of whose spikes only the sum over time is
    compared.

    Attributes: ``frames``, their number; ``nodes``, by name.
    """

    network: Network
    counted: Collection[str] = ()
    frames: int = 0
    nodes: dict[str, NodeReach] = field(init=False)

    def __post_init__(self) -> None:
        derived, signals = possible(self.network), self.network.signals
        self.nodes = {}
        for node in self.network:
            counted = node.name in self.counted
            place = Place(
                tuple(signals[source] for source in node.sources),
                tuple(derived.spans[source] for source in node.sources),
                signals[node.name],
                (derived.totals if counted else derived.spans)[node.name],
                counted,
                self.network.steps,
            )
            self.nodes[node.name] = node.reach(place)

    def add(self, outputs: Mapping[str, np.ndarray]) -> None:
        """Take the results of the golden model for some frames in, those of all nodes (``golden.Result.outputs``)."""
        count = len(outputs[self.network.input.name])
        most = max(int(np.prod(signal.shape)) for signal in self.network.signals.values())
        size = max(1, CELLS // most)
        for start in range(0, count, size):
            part = {name: x[start : start + size] for name, x in outputs.items()}
            for node in self.network:
                self.nodes[node.name].add([part[source] for source in node.sources], part[node.name])
        self.frames += count
        for node in self.network:
            self.nodes[node.name].meet([self.nodes[source].active for source in node.sources])

    def merge(self, other: Reach) -> None:
        """Take in what ``other`` of the same network has of other frames."""
        self.frames += other.frames
        for name, mine in self.nodes.items():
            mine.merge(other.nodes[name])
