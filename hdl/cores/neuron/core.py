"""The neuron array: integrate and fire, with all time steps of a neuron inside one word.

The membrane lives in the pipeline registers while the time steps of its word are computed, so there is no membrane
memory. What follows, up to the spikes or their number, is that of the rule: ``hdl.cores.neuron.pipeline`` where its
steps follow each other.
"""

from __future__ import annotations

from amaranth import *

from ...streams.counter import counter
from ...streams.pipe import Pipe
from .builder import Builder, Travel
from .spec import NeuronSpec

__all__ = ["NeuronArray"]


class NeuronArray(Pipe):
    """The neurons of a :class:`NeuronSpec`. Takes a current word in any cycle, never stalls.

    Members: ``i``: In(stream of current words, always ready); ``o``: Out(stream of spike words, always ready).
    """

    def __init__(self, spec: NeuronSpec) -> None:
        self.spec = spec
        super().__init__(spec.i_format.width, spec.o_format.width)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, form = self.spec, self.spec.i_format
        scan, last_scan = counter(m, spec.scans, self.i.valid, "scan")
        group, _ = counter(m, spec.groups, self.i.valid & last_scan, "group")
        travel = Travel(self.i.valid, scan == 0, self.i.valid & last_scan, group)
        lanes = [self.i.payload[k * form.element_bits :][: form.element_bits] for k in range(spec.outputs)]
        currents = [
            [c.as_signed() if form.signed else c for c in (lane.word_select(t, form.bits) for t in range(form.steps))]
            for lane in lanes
        ]
        spec.by_rule.circuit(Builder(m, platform, spec, self.o), travel, currents)
        return m
