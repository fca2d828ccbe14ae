"""To spike or not to spike: one trained checkpoint as a spiking and as a quantised design, side by side.

The forms differ in what travels between the layers and in what neurons do with it, not in weights and thresholds:
``causal`` neurons decide in every time step; ``lossless`` ones give the spikes of the quantised network exactly, as
trains of T spikes, with or without all-zero words being skipped; ``quantised`` is the same network with values of
ceil(log2(T + 1)) bits in place of trains, one multiplication in place of T additions. The last two are equal in every
answer, so that all else can be compared at equal accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from spikeloom import api
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.find import Choice, search
from spikeloom.gen.folding.rates import WordRates
from spikeloom.gen.targets.fpga.synth import synthesise
from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF
from spikeloom.sim.verify import verify

from .works import MODELS

__all__ = ["FORMS", "SUBJECTS", "Figures", "SpikingError", "Subject", "compare", "with_rule"]

Figures = dict[str, tuple[float, str]]
"""Value and unit by metric."""

FORMS = {
    "causal": ("causal", False, False),
    "causal, skipping": ("causal", False, True),
    "lossless": ("lossless", False, False),
    "lossless, skipping": ("lossless", False, True),
    "quantised": ("lossless", True, False),
}
"""Rule, whether counts travel, whether all-zero words may be skipped, by form."""

CLOCK = 100.0
"""MHz assumed for frames a second."""


class SpikingError(RuntimeError):
    """A design that differs from its prediction; its figures would mean nothing."""


@dataclass(frozen=True)
class Subject:
    """A checkpoint: file and data set; ``cycles``, the frame interval that all forms have to meet; ``device``, which
    each form fills to be as fast as it can; ``sample``, images that the cycles of skipping are means of;
    ``synthesise``: area by Yosys, and the design is verified on ``verified`` images."""

    network: str
    data: str
    cycles: int
    device: str
    sample: int
    synthesise: bool
    verified: int = 10


SUBJECTS = {
    "digits": Subject("digits-t4w4", "digits", 2_000, "ecp5-12k", 100, True),
    "MNIST": Subject("mnist-qcfs-t4w4", "mnist", 40_000, "ecp5-25k", 50, True),
    "CIFAR-10": Subject("cifar-resnet20-t4w4", "cifar10", 150_000, "ecp5-85k", 6, False),
}
"""The checkpoints by the name of what they classify."""


def with_rule(network: Network, rule: str) -> Network:
    """``network`` with neurons of ``rule``; weights, thresholds, biases and initial membranes stay."""
    nodes = tuple(replace(n, rule=rule) if isinstance(n, IF) else n for n in network)
    return Network(nodes, network.steps, network.meta)


def compare(subject: Subject, folder: Path) -> Iterator[tuple[str, Figures]]:
    """Form and figures, one form after the other. Raises DataError without the data, SpikingError for a difference."""
    trained = api.load(MODELS / f"{subject.network}.safetensors")
    for rule in ("causal", "lossless"):
        network = with_rule(trained, rule)
        images = api.frames(network, subject.data)
        found = api.evaluate(network, images)
        sample = images.pixels[: subject.sample]
        rates = WordRates(network, golden.run(network, sample).outputs)
        for form, (its, counts, skip) in FORMS.items():
            if its != rule:
                continue
            spiking = form != "quantised"
            figures: Figures = {
                "accuracy_percent": (round(100 * found["accuracy"], 2), f"% of {found['frames']} test images"),
                "operations": (
                    round(found["operations"] if spiking else found["ann_operations"]),
                    "synaptic operations an image" if spiking else "multiply-accumulates an image",
                ),
                "nanojoules": (round(found["nanojoules" if spiking else "ann_nanojoules"], 1), "nJ an image"),
            }
            made = search(network, subject.cycles, counts=counts, rates=rates if skip else None)
            figures |= _design(made, sample if skip else None)
            if subject.synthesise:
                figures |= _synthesised(made, images.pixels[: subject.verified], folder / form.replace(", ", "-"))
            fast = search(network, device=subject.device, counts=counts, rates=rates if skip else None)
            figures["fastest_cycles"] = (round(fast.interval, 1), f"cycles a frame, on {subject.device}")
            figures["fastest_frames_per_s"] = (round(1e6 * CLOCK / fast.interval), f"frames/s at {CLOCK:.0f} MHz")
            yield form, figures


def _design(made: Choice, sample: np.ndarray | None) -> Figures:
    timing = emit.performance(made.design, sample if made.design.sparse else None)
    luts, ff, ebr, _ = made.cost.tolist()
    return {
        "cycles_per_frame": (round(timing["interval"], 1), "cycles"),
        "latency_cycles": (timing["latency"], "cycles"),
        "luts_model": (round(luts), "LUTs by the cost model"),
        "ff_model": (round(ff), "FF by the cost model"),
        "ebr": (round(ebr), "EBR"),
        "area_time": (round(luts * timing["interval"] / 1e6, 2), "million LUTs x cycles a frame"),
    }


def _synthesised(made: Choice, frames: np.ndarray, folder: Path) -> Figures:
    contents = emit.write(made.design, folder)
    outcome = verify(made.design, contents, folder, frames)
    if not outcome.passed:
        raise SpikingError(f"{folder.name}: differs from the prediction\n" + "\n".join(map(str, outcome.differences)))
    cells = synthesise(folder, contents, "ecp5")
    units = {"lut4_eq": "LUT4-eq.", "lut_ram": "DPR16X4", "ff": "FF"}
    return {key: (cells[key], unit) for key, unit in units.items()}
