"""The synaptic array alone: the additions and the neurons, without window, FIFO and read-out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeloom.gen.emit import writer as emit
from spikeloom.gen.lowering.chain import shared_lanes
from spikeloom.hdl.cores.neuron.core import NeuronArray
from spikeloom.hdl.cores.neuron.spec import NeuronSpec
from spikeloom.hdl.cores.serialiser.core import Serialiser
from spikeloom.hdl.cores.serialiser.spec import SerialiserSpec
from spikeloom.hdl.cores.synapse.core import SynapseArray
from spikeloom.hdl.cores.synapse.spec import SynapseSpec
from spikeloom.hdl.streams.words import WordFormat

__all__ = ["INPUTS", "OPERATIONS", "OUTPUTS", "STEPS", "TOP", "WEIGHT_BITS", "Array", "write"]

INPUTS, OUTPUTS, STEPS, WEIGHT_BITS = 16, 8, 4, 4
OPERATIONS = INPUTS * OUTPUTS * STEPS
"""Synaptic operations in a cycle."""

CHANNELS, WORDS = 32, 9
"""The layer that is folded: 32 output channels, a 3x3 kernel over 16 channels."""

TOP = "array"


class Array(wiring.Component):
    """Synapses and neurons of a layer in one pipeline, which never stalls.

    Members: ``i``: In(window word), with ``i_valid`` and ``i_last``; ``o``: Out(spike word), with ``o_valid``.
    """

    i: Signal
    i_valid: Signal
    i_last: Signal
    o: Signal
    o_valid: Signal

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        high = (1 << (WEIGHT_BITS - 1)) - 1
        form = WordFormat(lanes=INPUTS, steps=STEPS, low=0, high=1)
        synapse = SynapseSpec(
            weight=rng.integers(-high, high + 1, (CHANNELS, WORDS, INPUTS)),
            weight_bits=WEIGHT_BITS,
            i_format=form,
            outputs=OUTPUTS,
            steps=STEPS,
            sum_time=False,
            start=np.zeros(CHANNELS, np.int64),
        )
        serial = SerialiserSpec(synapse.o_format, shared_lanes(synapse))
        neuron = NeuronSpec(
            threshold=rng.integers(40, 80, CHANNELS),
            bias=rng.integers(-10, 11, CHANNELS),
            v0=rng.integers(20, 40, CHANNELS),
            rule="causal",
            strict=False,
            time_steps=STEPS,
            i_format=serial.o_format,
            ranges=synapse.ranges,
            constant=False,
        )
        self.synapse, self.serial, self.neuron = SynapseArray(synapse), Serialiser(serial), NeuronArray(neuron)
        super().__init__(
            {"i": In(form.width), "i_valid": In(1), "i_last": In(1), "o": Out(neuron.o_format.width), "o_valid": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        """Join the three."""
        m = Module()
        m.submodules.synapse, m.submodules.serial, m.submodules.neuron = self.synapse, self.serial, self.neuron
        m.d.comb += [
            self.synapse.i.valid.eq(self.i_valid),
            self.synapse.i.payload.data.eq(self.i),
            self.synapse.i.payload.last.eq(self.i_last),
            self.o.eq(self.neuron.o.payload),
            self.o_valid.eq(self.neuron.o.valid),
        ]
        wiring.connect(m, self.synapse.o, self.serial.i)
        wiring.connect(m, self.serial.o, self.neuron.i)
        return m


def write(folder: Path) -> dict[str, str]:
    """Write the array's Verilog into ``folder``; return what ``design.json`` would say of it."""
    (folder / f"{TOP}.v").write_text(emit.module(Array(), TOP))
    return {"top": TOP, "verilog": f"{TOP}.v"}
