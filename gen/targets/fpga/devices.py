"""The devices that a design can be made to fit, and how much of each it may take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...cost.model import Area

__all__ = ["DEVICES", "LUT_RAM_LUTS", "Device", "resources"]

LUT_RAM_LUTS = 6
"""LUTs that a TRELLIS_DPR16X4 takes from the rest of the device: four hold its bits, two are lost to its write port."""

ROUTABLE = 0.8
"""Share of the LUTs and of the flip-flops that a design may take, so that it can still be placed and routed."""

SPARE_EBR = 4
"""Block RAMs that are left to what surrounds a design, such as the FIFOs of an interface."""


@dataclass(frozen=True)
class Device:
    """An FPGA: ``name``; ``luts`` (LUT4), as many flip-flops, and ``ebr`` (block RAMs of 18 Kbit)."""

    name: str
    luts: int
    ebr: int

    @property
    def budget(self) -> np.ndarray:
        """What a design may take: LUTs, flip-flops, block RAMs."""
        return np.array([ROUTABLE * self.luts, ROUTABLE * self.luts, self.ebr - SPARE_EBR])


DEVICES = {
    name: Device(name, luts, ebr)
    for name, luts, ebr in (
        ("ecp5-12k", 12_144, 32),
        ("ecp5-25k", 24_288, 56),
        ("ecp5-45k", 43_848, 108),
        ("ecp5-85k", 83_640, 208),
    )
}
"""The devices by name (Lattice, ECP5 family data sheet)."""


def resources(area: Area) -> np.ndarray:
    """``area`` as what a device runs out of: LUTs, those of LUT RAM included, flip-flops, block RAMs."""
    return np.array([area.lut4_eq + LUT_RAM_LUTS * area.lut_ram, area.ff, area.ebr], float)
