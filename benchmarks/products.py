"""What products by multipliers save: synapse arrays alone, with gated additions and with multipliers, on ECP5.

    python -m benchmarks.products
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from spikeloom.gen.emit import writer as emit
from spikeloom.gen.targets.fpga.synth import synthesise
from spikeloom.hdl.cores.synapse.spec import SynapseSpec
from spikeloom.hdl.streams.words import WordFormat

from .bipolar import Alone

__all__ = ["made", "main"]

ROWS = {
    "16 x 8, 36 words": (16, 8, 64, 36, 1, 4, 4),
    "8 x 8 x 2 pixels, 36 words": (8, 8, 32, 36, 2, 4, 4),
    "pixels of 8 bits, weights of 8 bits, 3 x 8, 9 words": (3, 8, 16, 9, 1, 255, 8),
}
"""Inputs, outputs, channels, words, pixels, the largest input, and bits of a weight."""


def made(name: str, *, multiplies: bool) -> SynapseSpec:
    """The array of a row of :data:`ROWS`, its weights drawn around zero."""
    inputs, outputs, channels, words, pixels, high, bits = ROWS[name]
    top = (1 << (bits - 1)) - 1
    drawn = np.random.default_rng(0).normal(0, top / 2.5, (channels, words, inputs))
    weight = np.clip(np.round(drawn), -top, top).astype(np.int64)
    return SynapseSpec(weight=weight, weight_bits=bits, i_format=WordFormat(inputs * pixels, 1, 0, high),
                       outputs=outputs, steps=1, sum_time=False, start=np.zeros(channels, np.int64), pixels=pixels,
                       multiplies=multiplies)  # fmt: skip


def main() -> None:
    """Print the table of docs/architecture.md."""
    print("| array | gated additions | multipliers |\n|---|---:|---:|")
    for name in ROWS:
        found = []
        for multiplies in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "top.v").write_text(emit.module(Alone(made(name, multiplies=multiplies)), "top"))
                cells = synthesise(Path(folder), {"top": "top", "verilog": "top.v"}, "ecp5")
            text = f"{cells['lut4_eq']:,}, {cells['ff']:,}"
            found.append(text + (f", {cells['mult']} multipliers" if multiplies else ""))
        print(f"| {name} | {' | '.join(found)} |", flush=True)


if __name__ == "__main__":
    main()
