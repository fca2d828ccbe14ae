"""What block RAMs of a design are for: its windows, as rows and as line buffers, and how full those of its weights are.

    python -m benchmarks.blocks NETWORK FOLDS

The figures of ``docs/face_detector.md`` and of ``docs/decisions/0014-a-block-ram-is-of-one-memory.md``, by the cost
model, which counts block RAMs as Yosys does.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from amaranth.hdl import Fragment, Value

from spikeloom.gen.folding.fold import read_folds
from spikeloom.gen.lowering.layers import layers
from spikeloom.gen.lowering.plan import build_stage
from spikeloom.hdl.cores.protocol import CoreSpec
from spikeloom.hdl.memory import rom
from spikeloom.hdl.verilog.library import Library
from spikeloom.quant.ir.netfile import load

__all__ = ["main"]

HALF = 18 * 512
"""Bits of half a block RAM, which is what one of its two ports can be given."""


def weight_memories(arrays: Sequence[CoreSpec]) -> list[tuple[int, int]]:
    """Words, and bits of a word, of every read-only memory in block RAM of ``arrays``."""
    found, make = list[tuple[int, int]](), rom.block_rams

    def noted(m: object, platform: Library, words: Sequence[int], address: Value, data: Value) -> None:
        found.append((len(words), len(data)))
        make(m, platform, words, address, data)  # type: ignore[arg-type]

    with patch.object(rom, "block_rams", noted):
        for array in arrays:
            Fragment.get(array.core(), Library())
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.blocks", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("network", type=Path)
    parser.add_argument("folds", type=Path)
    given = parser.parse_args(arguments)
    network, folds = load(given.network), read_folds(given.folds)
    stages = [build_stage(layer, folds[layer.name]) for layer in layers(network)]
    windows = [stage.window for stage in stages]
    arrays = [core for stage in stages for core in stage.cores if hasattr(core, "weight")]
    print(f"{len(windows)} windows: {sum(w.block_rams for w in windows)} block RAMs, all as rows "
          f"{sum(replace(w, words=0).block_rams for w in windows)}")  # fmt: skip
    print(f"{len(arrays)} arrays of weights: {sum(core.parts().ebr for core in arrays)} block RAMs")
    memories, blocks, half = weight_memories(arrays), 0, 0
    for depth, width in memories:
        bits = 36 if depth <= 512 else 18 if depth <= 1024 else 9
        mine = -(-width // bits)
        rest = width - (mine - 1) * bits
        blocks, half = blocks + mine, half + (rest <= 18 and depth * -(-rest // 9) * 9 <= HALF)
    print(f"{len(memories)} weight memories, {blocks} blocks; of {half} half of the last block would do: "
          f"{half // 2} saved at most")  # fmt: skip


if __name__ == "__main__":
    main()
