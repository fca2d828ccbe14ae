"""Area before synthesis: LUTs, flip-flops, LUT RAM and block RAM on ECP5, from the parts that a spec says it has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from ...hdl.cost.parts import Parts
from .coefficients import LUTS

__all__ = ["Area", "area", "area_of", "total"]


class Area(NamedTuple):
    """``lut4_eq``, LUT4 with two for each CCU2C, LUT RAM not included; ``ff``; ``lut_ram``, TRELLIS_DPR16X4; ``ebr``,
    DP16KD; ``mult``, MULT18X18D."""

    lut4_eq: float
    ff: int
    lut_ram: int
    ebr: int
    mult: int = 0


class _Costed(Protocol):
    """The spec of a core, or of an element of a design."""

    def parts(self) -> Parts: ...


def total(areas: Iterable[Area]) -> Area:
    """The sum of ``areas``."""
    return Area(*(sum(column) for column in zip(Area(0, 0, 0, 0, 0), *areas, strict=True)))


def area(spec: _Costed) -> Area:
    """The area of what ``spec`` describes: of a stage with the FIFOs of its shortcuts, of a width conversion, of a
    fork, of one core."""
    return area_of(spec.parts())


def area_of(parts: Parts) -> Area:
    """The area of ``parts``."""
    luts = sum(LUTS.get(kind, 1.0) * count for kind, count in parts.logic.items())
    return Area(luts, parts.ff, parts.lut_ram, parts.ebr, parts.dsp)
