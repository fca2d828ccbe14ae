"""Compares the cost model with Yosys on the designs of ``benchmarks.cost_designs``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spikeloom.gen.cost.model import Area, area, total
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.targets.fpga.synth import synthesise

from .cost_designs import design
from .kept import kept

__all__ = ["Comparison", "compare", "counted"]


@dataclass(frozen=True)
class Comparison:
    """A design: ``name``, its area by the ``model`` and as ``counted`` by Yosys."""

    name: str
    model: Area
    counted: Area

    def percent(self, field: str) -> float:
        """Error of the model in percent of what Yosys counts."""
        return round(100 * (getattr(self.model, field) / getattr(self.counted, field) - 1), 1)

    @property
    def same_memories(self) -> bool:
        """Whether block RAMs and LUT RAMs are exactly those that Yosys makes."""
        return (self.model.ebr, self.model.lut_ram) == (self.counted.ebr, self.counted.lut_ram)


def counted(verilog: str, folder: Path) -> dict[str, int]:
    """The cells on ECP5 of the module ``top`` of ``verilog``, which is written into ``folder``."""
    (folder / "top.v").write_text(verilog)
    return kept("cells", verilog, lambda: synthesise(folder, {"top": "top", "verilog": "top.v"}, "ecp5"))


def compare(name: str, folder: Path) -> Comparison:
    """Write the design into ``folder``, synthesise it and compare."""
    subject = design(name)
    cells = counted(emit.verilog(subject, name="top"), folder)
    model = total(area(element.spec) for element in subject.elements)
    return Comparison(name, model, Area(*(cells[field] for field in Area._fields)))
