"""A netlist of Yosys as what a placer needs of it: cells, their stages, and the nets between them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .sites import MACROS

__all__ = ["MOST_PINS", "Netlist", "read"]

MOST_PINS = 200
"""Nets of more cells, such as the clock and its enables, say nothing of where a cell should be."""

_LUTS = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6}


@dataclass(frozen=True)
class Netlist:
    """Cells and nets by number.

    Attributes: ``macros``, the numbers of the cells of each kind of macro; ``stage``, the stage of each cell, -1 where
    its name has none; ``luts``, how many LUTs each cell takes; ``pins`` and ``starts``, the cells of all nets one net
    after another, and where each net begins.
    """

    names: list[str]
    macros: Mapping[str, np.ndarray]
    stage: np.ndarray
    luts: np.ndarray
    pins: np.ndarray
    starts: np.ndarray

    def wires(self, x: np.ndarray, y: np.ndarray) -> float:
        """Half the perimeter of the boxes around all nets, in tiles, with the cells at columns ``x`` and rows ``y``."""
        total = 0.0
        for at in (x[self.pins], y[self.pins]):
            total += float((np.maximum.reduceat(at, self.starts) - np.minimum.reduceat(at, self.starts)).sum())
        return total


def read(path: Path, stages: Sequence[str]) -> Netlist:
    """The netlist in the JSON file ``path`` of Yosys.

    ``stages``: names of the instances of stages, in their order; where there are none, all instances in the top module.
    """
    modules = json.loads(path.read_text())["modules"]
    top = next(module for module in modules.values() if int(module["attributes"].get("top", "0"), 2))
    cells = {name: cell for name, cell in top["cells"].items() if not cell["type"].startswith("$")}
    names = list(cells)
    stages = stages or list(dict.fromkeys(name.split(".")[0] for name in names if "." in name))
    nets: dict[int, set[int]] = defaultdict(set)
    for number, cell in enumerate(cells.values()):
        for bits in cell["connections"].values():
            for bit in bits:
                if isinstance(bit, int):
                    nets[bit].add(number)
    kept = [sorted(net) for net in nets.values() if 2 <= len(net) <= MOST_PINS]
    kinds = [cell["type"] for cell in cells.values()]
    longest = sorted(range(len(stages)), key=lambda index: -len(stages[index]))
    return Netlist(
        names,
        {kind: np.array([number for number, one in enumerate(kinds) if one == kind], int) for kind in MACROS},
        np.array([_stage(name, stages, longest) for name in names], int),
        np.array([_LUTS.get(kind, 0) for kind in kinds], int),
        np.array([number for net in kept for number in net], int),
        np.cumsum([0, *(len(net) for net in kept[:-1])]),
    )


def _stage(name: str, stages: Sequence[str], longest: Sequence[int]) -> int:
    """The stage whose name the first part of a hierarchical name is, or begins with: ``conv1_fork.done``."""
    for part in name.split("."):
        for index in longest:
            if part == stages[index] or part.startswith(f"{stages[index]}_"):
                return index
    return -1
