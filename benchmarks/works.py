"""The standing works: networks with their frames and the folds that are measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spikeloom.quant import data
from spikeloom.quant.netfile import load
from spikeloom.quant.network import Network
from spikeloom.quant.workloads import from_workload, workload_frames
from spikeloom.sim.verify import Simulator

__all__ = ["WORKS", "Work"]

FOLDER = Path(__file__).resolve().parent
STANDING = FOLDER / "digits-w4a4.npz"
DIGITS = FOLDER.parent / "models" / "digits-t4w4.safetensors"


@dataclass(frozen=True)
class Work:
    """A network, its test frames and the cycle targets of its designs.

    Attributes: ``frames`` (N, C, H, W); ``labels`` (N,); ``logits`` (N, classes) where they are given with the work;
    ``targets``, cycles a frame, None for the least area x cycles; ``simulators`` whose speed is measured beside
    Verilator's, with the number of frames.
    """

    name: str
    network: Network
    frames: np.ndarray
    labels: np.ndarray
    logits: np.ndarray | None
    targets: tuple[int | None, ...]
    simulators: tuple[tuple[Simulator, int], ...] = ()


def _standing(name: str, prefix: str, targets: tuple[int | None, ...]) -> Work:
    return Work(name, from_workload(STANDING, prefix), *workload_frames(STANDING, prefix), targets)


def _digits() -> Work:
    network, digits = load(DIGITS), data.load("digits")
    return Work("digits", network, digits.test_x, digits.test_y, None, (None, 2000), (("cocotb", 40), ("amaranth", 2)))


WORKS: dict[str, Callable[[], Work]] = {
    # The least area x cycles is one frame a cycle here, 100,000 LUT4 and too long a synthesis for a benchmark.
    "A": lambda: _standing("A", "mlp", (16, 32, 64, 128, 256, 512)),
    "B": lambda: _standing("B", "cnn", (None, 150, 300, 600)),
    "digits": _digits,
}
"""The works by name; each is read when it is called for."""
