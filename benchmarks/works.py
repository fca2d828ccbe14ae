"""The standing works: networks with their frames and the folds that are measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spikeloom.quant import data
from spikeloom.quant.ir.netfile import load
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.workloads import from_workload, workload_frames
from spikeloom.sim.verify import Simulator

__all__ = ["WORKS", "Work"]

FOLDER = Path(__file__).resolve().parent
STANDING = FOLDER / "digits-w4a4.npz"
AROUND = {"floorplan": True}
FULL = {**AROUND, "placer": "static", "router": "router2"}
"""How a design is placed, and one that nearly fills its device (``docs/placement.md``)."""

MODELS = FOLDER.parent / "models"
EXAMPLES = FOLDER.parent / "examples"


@dataclass(frozen=True)
class Work:
    """A network, its test frames and the cycle targets of its designs.

    Attributes: ``frames`` (N, C, H, W); ``labels`` (N,), None where the frames are random because the data set is not
    there; ``logits`` (N, classes) where they are given with the work; ``targets``, cycles a frame, None for the least
    area x cycles; ``simulators`` whose speed is measured beside Verilator's, with the number of frames; ``device``, the
    ECP5 that its design with the least area x cycles is placed on, none where its clock is not measured;
    ``megahertz``, the clock that is asked for, and ``seeds``, the placements of which the fastest counts; ``xc7``,
    whether it is counted on 7 series too; ``placing``, options of :func:`place`; ``folds``, a fold file, and
    ``design``, the name of the one design that has them.
    """

    name: str
    network: Network
    frames: np.ndarray
    labels: np.ndarray | None
    logits: np.ndarray | None
    targets: tuple[int | None, ...]
    simulators: tuple[tuple[Simulator, int], ...] = ()
    device: str | None = None
    megahertz: float = 100.0
    seeds: int = 8
    xc7: bool = True
    placing: dict[str, Any] = field(default_factory=dict)
    folds: Path | None = None
    design: str = ""


def _standing(name: str, prefix: str, targets: tuple[int | None, ...], device: str | None = None) -> Work:
    frames = workload_frames(STANDING, prefix)
    return Work(name, from_workload(STANDING, prefix), *frames, targets, device=device)


def _model(name: str, file: str, source: str, count: int, **more: Any) -> Work:
    """A committed network on ``count`` test images of a data set, or on random frames where it is not there."""
    network = load(MODELS / file)
    try:
        images = data.load(source)
        frames, labels = images.test_x[:count], images.test_y[:count]
    except data.DataError:
        size = (count, *network.input.shape)
        frames, labels = np.random.default_rng(0).integers(0, network.input.high + 1, size), None
    return Work(name, network, frames, labels, None, xc7=False, **more)


def _digits() -> Work:
    network, digits = load(MODELS / "digits-t4w4.safetensors"), data.load("digits")
    return Work("digits", network, digits.test_x, digits.test_y, None, (None, 2000), (("cocotb", 40), ("amaranth", 2)))


def _mnist() -> Work:
    return _model("mnist", "mnist-integernet-w4a4.safetensors", "mnist", 100, targets=(2400,), device="25k")


def _mnist_fast() -> Work:
    more = {"device": "25k", "folds": EXAMPLES / "mnist_fast_fold.toml", "design": "1764 cycles", "placing": AROUND}
    return _model("mnist-fast", "mnist-integernet-w4a4.safetensors", "mnist", 20, targets=(None,), **more)


def _resnet20(name: str, folds: str, design: str, network: str = "t4w4", **more: Any) -> Work:
    more = {"device": "85k", "folds": EXAMPLES / folds, "design": design, "seeds": 3, "placing": AROUND, **more}
    return _model(name, f"cifar-resnet20-{network}.safetensors", "cifar10", 20, targets=(None,), **more)


WORKS: dict[str, Callable[[], Work]] = {
    # The least area x cycles is one frame a cycle here, 100,000 LUT4 and too long a synthesis for a benchmark.
    "A": lambda: _standing("A", "mlp", (8, 16, 32, 64, 128, 256, 512), "85k"),
    "B": lambda: _standing("B", "cnn", (None, 150, 300, 600)),
    "digits": _digits,
    "mnist": _mnist,
    "mnist-fast": _mnist_fast,
    "resnet20": lambda: _resnet20("resnet20", "cifar_resnet20_fold.toml", "36864 cycles"),
    "resnet20-fast": lambda: _resnet20(
        "resnet20-fast", "cifar_resnet20_fast_fold.toml", "18432 cycles", "t4w4-tuned", megahertz=110.0
    ),
    "resnet20-t3": lambda: _resnet20(
        "resnet20-t3", "cifar_resnet20_t3_fold.toml", "T = 3, 13824 cycles", "t3w4-tuned", megahertz=110.0, placing=FULL
    ),
    "resnet20-skip": lambda: _resnet20("resnet20-skip", "cifar_resnet20_skip_fold.toml", "event skipping"),
}
"""The works by name; each is read when it is called for."""
