"""The devices that a design can be made to fit, and how much of each it may take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...cost.model import Area

__all__ = ["DEVICES", "LUT_RAM_LUTS", "RESOURCES", "Device", "resources"]

RESOURCES = ("LUTs", "flip-flops", "block RAMs", "multipliers")
"""What a design takes of a device."""

LUT_RAM_LUTS = 6
"""LUTs that a TRELLIS_DPR16X4 takes from the rest of the device: four hold its bits, two are lost to its write port."""

ROUTABLE = 0.8
"""Share of the LUTs and of the flip-flops that a design may take, so that it can still be placed and routed."""

SPARE_EBR = 4
"""Block RAMs that are left to what surrounds a design, such as the FIFOs of an interface."""


@dataclass(frozen=True)
class Device:
    """An FPGA: ``name``; ``luts`` (LUT4), as many flip-flops, ``ebr`` (block RAMs of 18 Kbit) and ``dsp`` (multipliers
    of 18 x 18 bits)."""

    name: str
    luts: int
    ebr: int
    dsp: int

    @property
    def budget(self) -> np.ndarray:
        """What a design may take (:data:`RESOURCES`); no multipliers, which it takes only where it is told to."""
        return np.array([ROUTABLE * self.luts, ROUTABLE * self.luts, self.ebr - SPARE_EBR, 0])


DEVICES = {
    name: Device(name, luts, ebr, dsp)
    for name, luts, ebr, dsp in (
        ("ecp5-12k", 12_144, 32, 28),
        ("ecp5-25k", 24_288, 56, 28),
        ("ecp5-45k", 43_848, 108, 72),
        ("ecp5-85k", 83_640, 208, 156),
    )
}
"""The devices by name (Lattice, ECP5 family data sheet)."""


def resources(area: Area) -> np.ndarray:
    """``area`` as what a device runs out of (:data:`RESOURCES`): LUTs, those of LUT RAM included, flip-flops, block
    RAMs, multipliers."""
    return np.array([area.lut4_eq + LUT_RAM_LUTS * area.lut_ram, area.ff, area.ebr, area.mult], float)
