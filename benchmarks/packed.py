"""What packed weight memories save: whole stages of ResNet-20, 64 to 64 channels, plain and packed, on ECP5.

    python -m benchmarks.packed
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from spikeloom.gen.emit import writer as emit
from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.lowering.layers import layers
from spikeloom.gen.lowering.plan import build_stage
from spikeloom.gen.targets.fpga.synth import synthesise
from spikeloom.quant.ir.netfile import load

from .works import MODELS

__all__ = ["main"]

STAGE = "layer3.1.conv1"
FOLDS = (Fold(4, 16, 1), Fold(4, 16, 1, pixels=2), Fold(8, 8, 1, pixels=2), Fold(8, 16, 1), Fold(8, 16, 1, pixels=2))


def main() -> None:
    """Print the table of docs/architecture.md."""
    network = load(MODELS / "cifar-resnet20-t4w4-tuned.safetensors")
    layer = next(layer for layer in layers(network) if layer.name == STAGE)
    print("| fold | cycles | plain: LUT4-eq. | flip-flops | block RAMs | packed: LUT4-eq. | flip-flops | block RAMs |")
    print("|---|" + "--:|" * 7)
    for fold in FOLDS:
        figures, cycles = list[str](), 0
        for packed in (False, True):
            try:
                stage = build_stage(layer, replace(fold, packed=packed))
            except PlanError:
                figures += ["-"] * 3
                continue
            cycles = stage.cycles
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "top.v").write_text(emit.module(stage.core(), "top"))
                cells = synthesise(Path(folder), {"top": "top", "verilog": "top.v"}, "ecp5")
            figures += [f"{cells[name]:,}" for name in ("lut4_eq", "ff", "ebr")]
        print(f"| {fold.text(' x ')} | {cycles:,} | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()
