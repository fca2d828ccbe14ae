"""What stands behind a synapse array: cores one after the other, and what the numbers between them can be."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...hdl.cores.protocol import CoreSpec
from ...hdl.cores.serialiser.spec import SerialiserSpec
from ...hdl.cores.synapse.spec import SynapseSpec
from ...hdl.streams.blocks import Blocks
from ...hdl.streams.words import WordFormat
from ...quant.ir.node import Node
from ..errors import PlanError
from .fitting import divisors, numbers
from .layers import StageNodes
from .registry import tail_of, tails

__all__ = ["Chain", "shared_lanes"]


@dataclass(eq=False)
class Chain:
    """The cores of a stage behind its window, while they are put together.

    Parameters: ``layer``; ``synapse``, the array; ``started``, the node whose bias its accumulators begin with, if any.
    Attributes: ``cores``, the array first; ``ranges`` (n, 2) of what leaves the last of them, in :attr:`order`;
    ``cycles`` between currents.
    """

    layer: StageNodes
    synapse: SynapseSpec
    started: Node | None
    cores: list[CoreSpec] = field(init=False)
    ranges: np.ndarray = field(init=False)
    cycles: int = field(init=False, default=1)

    def __post_init__(self) -> None:
        self.cores, self.ranges = [self.synapse], self.synapse.ranges[self.order]

    @property
    def blocks(self) -> Blocks:
        """The pixels that are computed together, one by one where there are none, and their channels."""
        synapse = self.synapse
        return Blocks(self.layer.o_width, synapse.pixels, self.layer.channels[0], synapse.outputs)

    @property
    def order(self) -> np.ndarray:
        """The channel of every element that leaves for the pixels computed together, as they come. What cores are
        given by channel, they are given in this order."""
        return self.blocks.order

    @property
    def form(self) -> WordFormat:
        """The words that leave the last core."""
        return self.cores[-1].o_format

    @property
    def constant(self) -> bool:
        """Whether the currents are the same in every time step, and come once."""
        return not (self.layer.source.timed and self.layer.steps > 1)

    def append(self, core: CoreSpec, ranges: np.ndarray) -> None:
        """Go on with ``core``, what leaves it being in ``ranges`` (Co, 2)."""
        self.cores.append(core)
        self.ranges = ranges

    def rest(self, node: Node, bias: np.ndarray) -> np.ndarray:
        """What of the ``bias`` of ``node`` is still to be added, in :attr:`order`: nothing, where the accumulators
        begin with it."""
        return (np.zeros_like(bias) if node is self.started else bias)[self.order]

    def share(self, cycles: int) -> None:
        """Let channels share what comes next, as far as ``cycles`` between currents allow; pixels always do, for a
        word that leaves is of one pixel."""
        self.cycles = cycles
        several = self.synapse.pixels > 1 or self.blocks.idle > 0
        end = next((node for node in self.layer.nodes if type(node) in tails()), None)
        if end is not None and not (self.layer.shortcuts or several) and tail_of(end).whole(self, end, cycles):
            return
        worth = self.started is None or tail_of(self.started).shares or self.layer.shortcuts
        lanes = self._lanes(cycles) if worth or several else self.synapse.outputs
        if lanes < self.synapse.results:
            self.append(SerialiserSpec(self.synapse.o_format, lanes), self.ranges)

    def _lanes(self, cycles: int) -> int:
        """:func:`shared_lanes`, few enough to divide the channels, and those of zero-padded shortcuts."""
        layer, synapse = self.layer, self.synapse
        lanes = shared_lanes(synapse, cycles)
        edges = [edge for skip in layer.shortcuts for edge in (skip.offset, skip.signal.shape[0])]
        if self.blocks.idle:
            edges.append(self.blocks.channels)
        found = [n for n in divisors(synapse.outputs) if n >= lanes and not any(edge % n for edge in edges)]
        if not found:
            raise PlanError(
                f"{layer.name}: fold outputs={synapse.outputs} needs {lanes} neuron units or more, a number that "
                f"divides the channels of result and shortcuts ({numbers(edges)}); choose other outputs"
            )
        return found[0]


def shared_lanes(synapse: SynapseSpec, cycles: int | None = None) -> int:
    """Lanes of the neurons (quantisers, read-out) behind an array: as few as have time for all outputs before the next
    currents come, ``cycles`` later (by default those of all words). Where the window is scanned for groups of steps,
    membranes must stay, so every output has its own."""
    if synapse.scans > 1:
        return synapse.outputs
    cycles = synapse.words if cycles is None else cycles
    return next(n for n in divisors(synapse.outputs) if synapse.results // n <= cycles)
