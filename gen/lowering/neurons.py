"""The cores of a layer's neurons: what differs between the neurons of a channel, and the neurons."""

from __future__ import annotations

import numpy as np

from ...hdl.cores.initial.spec import InitialSpec
from ...hdl.cores.neuron.spec import NeuronSpec
from ...hdl.streams.words import WordFormat
from ...quant.ir.ops import IF

__all__ = ["neuron_cores"]


def neuron_cores(
    neuron: IF, steps: int, i_format: WordFormat, ranges: np.ndarray, scans: int, *, constant: bool
) -> list[InitialSpec | NeuronSpec]:
    """The cores of ``neuron`` for T = ``steps`` behind current words of ``i_format``.

    Parameters: ``ranges`` (Co, 2), range of each channel's current; ``scans``, current words of a neuron;
    ``constant``, the current is the same in every time step and comes once.
    """
    v0 = neuron.v0.reshape(len(neuron.v0), -1)
    common = v0.min(1)  # what the neurons of a channel have in common stays in the spike tests
    added, adds_up = None, neuron.adds_up
    if (v0 != v0[:, :1]).any():
        added = InitialSpec(
            offset=(v0 - common[:, None]).T,
            i_format=i_format,
            ranges=ranges,
            scans=scans,
            times=steps if constant and adds_up else 1,
            repeated=constant and not adds_up and steps > 1,
        )
        ranges, i_format, constant = added.o_ranges, added.o_format, constant and not adds_up
    neurons = NeuronSpec(
        threshold=neuron.threshold,
        bias=neuron.bias,
        v0=common,
        rule=neuron.rule,
        strict=neuron.strict,
        time_steps=steps,
        i_format=i_format,
        ranges=ranges,
        constant=constant,
        initial=None if added is None else added.initial,
    )
    return [neurons] if added is None else [added, neurons]
