"""A design under measurement: its figures, those of synthesis and of place-and-route, and the records they become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikeloom.gen.targets.fpga.synth import place, synthesise

from .records import OURS, Record

__all__ = ["COMMAND", "UNITS", "BenchmarkError", "Figures", "Subject", "add_area", "add_clock", "add_xc7", "to_records"]

Figures = dict[str, tuple[float, str]]
"""Value and unit by metric."""

UNITS = {
    "lut4_eq": "LUT4-eq.",
    "lut_ram": "DPR16X4",
    "ff": "FF",
    "ebr": "EBR",
    "mult": "MULT18",
    "mhz": "MHz",
    "min_mhz": "MHz",
    "median_mhz": "MHz",
    "seeds": "placements that worked",
    "comb": "TRELLIS_COMB",
    "frames_per_s": "frames/s",
    "xc7_lut": "LUT",
    "xc7_ff": "FF",
    "xc7_lutram": "LUT RAM cells",
    "xc7_dsp": "DSP48",
    "xc7_ramb18": "RAMB18",
    "xc7_ramb36": "RAMB36",
    "accuracy_percent": "% of the test images",
}
"""Units of the figures of synthesis."""

PLACEMENTS = Path(__file__).resolve().parent.parent / "build" / "placements"
"""What has been placed: the seeds of each design, with its Verilog's hash and the versions of the tools."""

COMMAND = "python -m benchmarks.run "
"""What measures a figure again, before the name of the work."""


class BenchmarkError(RuntimeError):
    """A design that is not what it should be; its figures would mean nothing."""


@dataclass
class Subject:
    """A design under measurement: its ``name`` in the tables, its ``folder``, its ``figures`` so far; ``tool``, whose
    design it is; ``missing``, why a figure could not be measured, by metric; ``placed``, the ECP5 that the best design
    of its work is placed on, the clock that is asked for, the number of seeds and options of :func:`place`; ``xc7``,
    whether that is counted on 7 series; ``multipliers`` that its folds have; ``operations``, multiply-accumulates of a
    frame."""

    work: str
    name: str
    folder: Path
    contents: dict[str, Any]
    figures: Figures
    tool: str = OURS
    missing: dict[str, str] = field(default_factory=dict)
    placed: tuple[str, float, int, dict[str, Any]] | None = None
    xc7: bool = True
    multipliers: int = 0
    operations: int = 0

    def add(self, cells: Mapping[str, float], prefix: str = "") -> None:
        """Add the figures of a synthesis, those in :data:`UNITS`."""
        self.figures |= {prefix + k: (v, UNITS[prefix + k]) for k, v in cells.items() if prefix + k in UNITS}

    @property
    def product(self) -> float:
        """Area times cycles."""
        return self.figures["lut4_eq"][0] * self.figures["cycles_per_frame"][0]


def add_area(subject: Subject) -> None:
    """Add the area on ECP5 to the figures of ``subject``."""
    cells = synthesise(subject.folder, subject.contents, "ecp5")
    if cells["mult"] != subject.multipliers and subject.tool == OURS:
        raise BenchmarkError(f"{subject.work}, {subject.name}: {cells['mult']} multipliers; there must be "
                             f"{subject.multipliers or 'none'}")  # fmt: skip
    subject.add(cells)
    if "cycles_per_frame" in subject.figures:
        subject.figures["lut4_eq_x_cycles"] = (subject.product, "LUT4-eq. x cycles")
        if subject.operations:
            each = round(subject.product / subject.operations, 1)
            subject.figures["lut4_eq_per_mac"] = (each, "LUT4-eq. per multiply-accumulate a cycle")


def add_xc7(subject: Subject) -> None:
    """Add the area on 7 series to the figures of ``subject``."""
    subject.add(synthesise(subject.folder, subject.contents, "xc7"), "xc7_")


def add_clock(subject: Subject, jobs: int = 2) -> None:
    """Add the clock on its ECP5, speed grade 6, to the figures of ``subject``: that of the fastest of its seeds,
    ``jobs`` of which are placed at once, and how far they lie apart. Those in :data:`PLACEMENTS` are not made again."""
    assert subject.placed is not None
    device, target, seeds, options = subject.placed
    PLACEMENTS.mkdir(parents=True, exist_ok=True)
    record = PLACEMENTS / f"{subject.work}-{subject.name.replace(' ', '-')}.json"
    found = place(subject.folder, subject.contents, device, target=target, seeds=seeds, jobs=jobs, record=record,
                  **options)  # fmt: skip
    subject.add({name: found["spread"][name] for name in ("min_mhz", "median_mhz", "seeds")})
    subject.add({"mhz": found["mhz"], "comb": found["comb"]})
    subject.figures["device_kluts"] = (float(device.removesuffix("k")), "1,000 LUT4 of the ECP5 it was placed on")
    if "cycles_per_frame" in subject.figures:
        cycles = subject.figures["cycles_per_frame"][0]
        subject.figures["frames_per_s"] = (round(1e6 * found["mhz"] / cycles), "frames/s")


def to_records(subjects: list[Subject]) -> list[Record]:
    """All figures as records."""
    return [
        Record(
            s.work, s.name, metric, value, unit, f"{COMMAND}{s.work if s.tool == OURS else 'da4ml'}", s.tool, note=note
        )
        for s in subjects
        for metric, value, unit, note in [
            *((metric, value, unit, "") for metric, (value, unit) in s.figures.items()),
            *((metric, None, UNITS[metric], why) for metric, why in s.missing.items()),
        ]
    ]
