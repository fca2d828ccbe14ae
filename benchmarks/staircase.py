"""What a staircase costs on ECP5, by its circuits: ``python -m benchmarks.staircase`` prints the table of
``docs/architecture.md``.

One lane serves :data:`CHANNELS` channels, with currents of :data:`BITS` bits and random thresholds, no two of which are
alike.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeloom.gen.emit import writer as emit
from spikeloom.gen.targets.fpga.synth import synthesise
from spikeloom.hdl.cores.staircase.search import SearchSpec
from spikeloom.hdl.cores.staircase.serial import SerialSpec
from spikeloom.hdl.cores.staircase.spec import StaircaseSpec
from spikeloom.hdl.cores.staircase.stairs import Stairs
from spikeloom.hdl.streams.words import WordFormat

__all__ = ["cases", "main"]

CHANNELS, BITS = 16, 16

FORMS: dict[str, type[Stairs]] = {"comparators": StaircaseSpec, "pipeline": SearchSpec, "one comparator": SerialSpec}

SEARCHES = list(FORMS)[1:]

ROWS = [
    *((3, form, CHANNELS, False) for form in FORMS),
    *((15, form, channels, False) for channels in (1, CHANNELS) for form in FORMS),
    *((63, form, CHANNELS, False) for form in SEARCHES),
    *((255, form, channels, False) for channels in (1, CHANNELS) for form in SEARCHES),
    (15, "comparators", CHANNELS, True),
    (255, "pipeline", CHANNELS, True),
    (255, "one comparator", 1, True),
]
"""K, circuit, channels of the lane, whether with values."""


class _Alone(wiring.Component):
    """A staircase whose ports are those of a module.

    Members: ``i``: In(word), with ``i_valid``; ``o``: Out(word), with ``o_valid``.
    """

    i: Signal
    i_valid: Signal
    o: Signal
    o_valid: Signal

    def __init__(self, spec: Stairs) -> None:
        self.inner = spec.core()
        super().__init__(
            {"i": In(spec.i_format.width), "i_valid": In(1), "o": Out(spec.o_format.width), "o_valid": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        """The staircase alone."""
        m = Module()
        m.submodules.staircase = inner = self.inner
        m.d.comb += [
            Value.cast(inner.i.payload).eq(self.i),
            inner.i.valid.eq(self.i_valid),
            self.o.eq(inner.o.payload),
            self.o_valid.eq(inner.o.valid),
        ]
        return m


def made(count: int, form: str, channels: int, valued: bool) -> Stairs:
    """The staircase of a row."""
    rng = np.random.default_rng(count)
    top = (1 << BITS - 1) - 1
    threshold = np.sort(rng.choice(2 * top, (channels, count), replace=False) - top)
    values = rng.integers(-128, 128, (channels, count + 1)) if valued else None
    given = {"lanes": 1} if FORMS[form] is SerialSpec else {}
    return FORMS[form](threshold=threshold, low=0, values=values, i_format=WordFormat(1, 1, -top - 1, top),
                       ranges=np.tile([-top - 1, top], (channels, 1)), **given)  # fmt: skip


def cases() -> Iterator[tuple[str, Stairs]]:
    """The rows: what it is, and the staircase."""
    for count, form, channels, valued in ROWS:
        yield f"| {count} | {form}{', values' if valued else ''} | {channels} |", made(count, form, channels, valued)


def main() -> None:
    """Print the table."""
    print("| K | circuit | channels | LUT4-eq. | flip-flops | block RAMs | a word every | latency |")
    print("|--:|---|--:|--:|--:|--:|--:|--:|")
    for name, spec in cases():
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "top.v").write_text(emit.module(_Alone(spec), "top"))
            cells = synthesise(Path(folder), {"top": "top", "verilog": "top.v"}, "ecp5")
        figures = (cells["lut4_eq"], cells["ff"], cells["ebr"], max(spec.turnaround, 1), spec.latency)
        print(name, *(f"{round(figure):,} |" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
