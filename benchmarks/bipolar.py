"""What weights of -1 and +1 cost on ECP5 as one bit and as two: the tables of ``docs/architecture.md``.

    python -m benchmarks.bipolar                    synapse arrays alone
    python -m benchmarks.bipolar FILE.onnx CYCLES   the design of a QONNX network, with the folds for so many cycles

Arrays have random weights of :data:`CHANNELS` output channels and :data:`WORDS` window words.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.emit.writer import performance
from spikeloom.gen.folding.find import search
from spikeloom.gen.targets.fpga.synth import synthesise
from spikeloom.hdl.cores.synapse.core import SynapseArray
from spikeloom.hdl.cores.synapse.spec import SynapseSpec
from spikeloom.hdl.streams.words import WordFormat
from spikeloom.quant.frontends.onnx import Onnx
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import Conv2d, Gain, Linear, Node, Synapse

__all__ = ["Alone", "arrays", "made", "main", "network"]

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


class Alone(wiring.Component):
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
    """The array with weights of ``bits`` bits; those of one bit choose inputs, or invert them."""
    weight = np.random.default_rng(0).choice([-1, 1], (CHANNELS, WORDS, form.lanes))
    spec = SynapseSpec(weight=weight, weight_bits=bits, i_format=form, outputs=outputs, steps=form.steps,
                       sum_time=False, start=np.zeros(CHANNELS, np.int64))  # fmt: skip
    return replace(spec, inverts=True, start=spec.excess) if inverts else spec


def arrays() -> None:
    """Print the table of arrays."""
    print("| inputs | outputs | bits | LUT4-eq. | flip-flops | block RAMs | bits in memory | latency |")
    print("|---|--:|---|--:|--:|--:|--:|--:|")
    for name, (form, outputs) in ROWS.items():
        for kind, (bits, inverts) in FORMS.items():
            spec = made(form, outputs, bits, inverts)
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "top.v").write_text(emit.module(Alone(spec), "top"))
                cells = synthesise(Path(folder), {"top": "top", "verilog": "top.v"}, "ecp5")
            figures = (cells["lut4_eq"], cells["ff"], cells["ebr"], spec.weight.size * bits, spec.latency)
            shape = f"{form.lanes} x {form.steps}"
            print(f"| {name}, {shape} | {outputs} | {kind} |", *(f"{round(n):,} |" for n in figures), flush=True)


def network(path: str, cycles: int) -> None:
    """Print the table of a network: with two bits, with one and the same folds, with one and folds of its own."""
    given = Onnx().read(Path(path))
    assert isinstance(given, Network)
    one = replace(given, nodes=tuple(_weighted(node) for node in given))
    wide = (replace(n, weight_bits=max(2, n.weight_bits)) if isinstance(n, Synapse) else n for n in one)
    two = replace(one, nodes=tuple(wide))
    before, after = (search(net, cycles).design for net in (two, one))
    print("| bits | folds | cycles | latency | LUT4-eq. | flip-flops | LUT RAM | block RAMs | bits of weights |")
    print("|--:|---|--:|--:|--:|--:|--:|--:|--:|")
    for folds, design in (("for 2", before), ("for 2", Design(one, before.folds)), ("for 1", after)):
        figures, bits = performance(design), max(n.weight_bits for n in design.network if isinstance(n, Linear))
        with tempfile.TemporaryDirectory() as folder:
            emit.write(design, Path(folder))
            cells = synthesise(Path(folder), emit.read(Path(folder))[1], "ecp5")
        stored = sum(n.weight.size * n.weight_bits for n in design.network if isinstance(n, Synapse))
        area = (cells[kind] for kind in ("lut4_eq", "ff", "lut_ram", "ebr"))
        row = (figures["interval"], figures["latency"], *area, stored)
        print(f"| {bits} | {folds} |", *(f"{round(n):,} |" for n in row), flush=True)


def _weighted(node: Node) -> Node:
    """A gain of the image as a convolution, for a quantiser behind a gain has no hardware."""
    if not isinstance(node, Gain):
        return node
    weight = node.gain.reshape(-1, 1, 1, 1)
    bits = max(2, int(np.abs(weight).max()).bit_length() + 1)
    return Conv2d(name=node.name, source=node.source, weight=weight, weight_bits=bits, groups=len(weight))


def main(argv: list[str] | None = None) -> None:
    """Print a table."""
    given = sys.argv[1:] if argv is None else argv
    if given:
        network(given[0], int(given[1]))
    else:
        arrays()


if __name__ == "__main__":
    main()
