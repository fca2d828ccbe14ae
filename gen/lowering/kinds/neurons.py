"""Integrate-and-fire neurons: what differs between the neurons of a channel, and the neurons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ....hdl.cores.initial.spec import InitialSpec
from ....hdl.cores.neuron.spec import NeuronSpec
from ....hdl.streams.blocks import Blocks
from ....hdl.streams.words import WordFormat
from ....quant.ir.ops import IF
from ..chain import Chain
from ..layers import StageNodes
from ..registry import Tail, tail

__all__ = ["Neurons", "neuron_cores"]


@tail(IF)
class Neurons(Tail):
    """Neurons, their spikes as trains or as counts."""

    def moved(self, layer: StageNodes, node: IF, excess: np.ndarray) -> IF:
        """A current in every time step, or one for all of them, meets the bias as often; the sum of all of them begins
        at another membrane."""
        if layer.adds_up:
            return replace(node, v0=node.v0 - excess.reshape(-1, *(1,) * (node.v0.ndim - 1)))
        return replace(node, bias=node.bias - excess)

    def lower(self, chain: Chain, node: IF) -> None:
        """Initial membranes of single neurons where there are any, then the neurons."""
        layer = chain.layer
        cores = neuron_cores(
            node,
            layer.steps,
            chain.form,
            chain.ranges,
            chain.synapse.scans,
            constant=chain.constant,
            counts=layer.counts[1],
            blocks=chain.blocks,
        )
        for core in cores:
            chain.append(core, core.o_ranges if isinstance(core, InitialSpec) else chain.ranges)


def neuron_cores(
    neuron: IF,
    steps: int,
    i_format: WordFormat,
    ranges: np.ndarray,
    scans: int,
    *,
    constant: bool,
    counts: bool = False,
    blocks: Blocks | None = None,
) -> list[InitialSpec | NeuronSpec]:
    """The cores of ``neuron`` for T = ``steps`` behind current words of ``i_format``.

    Parameters: ``ranges`` (n, 2), range of each current in the order of the words; ``scans``, current words of a
    neuron; ``constant``, the current is the same in every time step and comes once; ``counts``, spikes leave as their
    number; ``blocks`` of pixels that are computed together, None where they come one by one.
    """
    v0 = neuron.v0.reshape(len(neuron.v0), -1)
    common = v0.min(1)  # what the neurons of a channel have in common stays with their constants
    order = np.arange(len(v0)) if blocks is None else blocks.order
    added = None
    if (v0 != v0[:, :1]).any():
        offset = (v0 - common[:, None]).T
        if blocks is not None:
            offset = blocks.gathered(offset.reshape(-1, blocks.width, blocks.channels))
        added = InitialSpec(
            offset=offset,
            i_format=i_format,
            ranges=ranges,
            scans=scans,
            times=steps if constant and neuron.adds_up else 1,
            repeated=constant and not neuron.adds_up and steps > 1,
        )
        ranges, i_format, constant = added.o_ranges, added.o_format, constant and not neuron.adds_up
    neurons = NeuronSpec(
        threshold=neuron.threshold[order],
        bias=neuron.bias[order],
        v0=common[order],
        rule=neuron.rule,
        strict=neuron.strict,
        time_steps=steps,
        i_format=i_format,
        ranges=ranges,
        constant=constant,
        counts=counts,
        low=neuron.low,
        initial=None if added is None else added.initial,
    )
    return [neurons] if added is None else [added, neurons]
