"""What weights of -1 and +1 cost on ECP5 as one bit and as two: ``python -m benchmarks.bipolar`` prints the table of
``docs/architecture.md``.

Synapse arrays alone, with random weights of :data:`CHANNELS` output channels and :data:`WORDS` window words, which
makes block RAMs of the weight memories of all of them but one.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeloom.gen.cost.model import area
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.targets.fpga.synth import synthesise
from spikeloom.hdl.cores.synapse.core import SynapseArray
from spikeloom.hdl.cores.synapse.spec import SynapseSpec
from spikeloom.hdl.streams.words import WordFormat

__all__ = ["main", "made"]

CHANNELS, WORDS = 32, 9

ROWS = {
    "spikes": (WordFormat(16, 4, 0, 1), 8),
    "spikes, a step": (WordFormat(16, 1, 0, 1), 8),
    "spikes, one output": (WordFormat(16, 4, 0, 1), 1),
    "values of 2 bits": (WordFormat(16, 1, -2, 1), 8),
    "values of 4 bits": (WordFormat(16, 1, 0, 15), 8),
    "values of 4 bits, signed": (WordFormat(16, 1, -8, 7), 8),
    "pixels": (WordFormat(9, 1, 0, 255), 8),
}
"""Words of the inputs, and outputs at once."""


FORMS = {"2": (2, False), "1, chosen": (1, False), "1, inverted": (1, True)}
"""Bits of a weight, and whether it inverts its input."""


class _Alone(wiring.Component):
    """An array whose ports are those of a module.

    Members: ``i``: In(window word), with ``i_valid`` and ``i_last``; ``o``: Out(current word), with ``o_valid``.
    """

    i: Signal
    i_valid: Signal
    i_last: Signal
    o: Signal
    o_valid: Signal

    def __init__(self, spec: SynapseSpec) -> None:
        self.inner = SynapseArray(spec)
        super().__init__(
            {"i": In(spec.i_format.width), "i_valid": In(1), "i_last": In(1), "o": Out(spec.o_format.width),
             "o_valid": Out(1)}
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The array alone."""
        m = Module()
        m.submodules.array = inner = self.inner
        m.d.comb += [
            inner.i.valid.eq(self.i_valid),
            inner.i.payload.data.eq(self.i),
            inner.i.payload.last.eq(self.i_last),
            self.o.eq(inner.o.payload),
            self.o_valid.eq(inner.o.valid),
        ]
        return m


def made(form: WordFormat, outputs: int, bits: int, inverts: bool) -> SynapseSpec:
    """The array with weights of so many bits, which choose inputs or, of one bit, may invert them."""
    weight = np.random.default_rng(0).choice([-1, 1], (CHANNELS, WORDS, form.lanes))
    spec = SynapseSpec(weight=weight, weight_bits=bits, i_format=form, outputs=outputs, steps=form.steps,
                       sum_time=False, start=np.zeros(CHANNELS, np.int64))  # fmt: skip
    return replace(spec, inverts=True, start=spec.excess) if inverts else spec


def main() -> None:
    """Print the table."""
    print("| inputs | outputs | bits | LUT4-eq. | model | flip-flops | model | block RAMs | bits in memory | latency |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name, (form, outputs) in ROWS.items():
        for kind, (bits, inverts) in FORMS.items():
            spec = made(form, outputs, bits, inverts)
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "top.v").write_text(emit.module(_Alone(spec), "top"))
                cells = synthesise(Path(folder), {"top": "top", "verilog": "top.v"}, "ecp5")
            priced = area(spec)
            figures = (cells["lut4_eq"], priced.lut4_eq, cells["ff"], priced.ff, cells["ebr"])
            figures += (spec.weight.size * bits, spec.latency)
            shape = f"{form.lanes} x {form.steps}"
            print(f"| {name}, {shape} | {outputs} | {kind} |", *(f"{round(n):,} |" for n in figures), flush=True)


if __name__ == "__main__":
    main()
