"""Fits the LUTs of each kind of part to what Yosys makes of every core of the designs of ``benchmarks.cost_designs``.

    python -m benchmarks.cost_fit [DESIGN ...]

Each design is synthesised twice, and what comes out is kept for the next time. With its hierarchy every core is an
equation of its own: its LUTs are the sum of its parts, each kind with the same unknown price wherever it stands; timing
is left out there, since a core alone knows nothing of the paths that are critical in the design. The design as a whole,
flattened, is another equation, of a weight that makes up for their number. Prices are not negative. The result is
written to ``gen/cost/coefficients.py``; the summary shows what every kind of core costs and what the model says of it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeloom.gen.cost import coefficients
from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.targets import yosys
from spikeloom.hdl.cost.parts import Parts

from .cost import counted
from .cost_designs import NAMES, design
from .kept import kept

__all__ = ["Core", "cores_of", "fitted", "main", "written"]


RELAXED = 30_000
"""Delay in ps that mapping may take: so much that it looks at the area alone."""

WHOLE = "design"
"""The kind of the equation of a whole design."""

WEIGHT = 5
"""How much more such an equation counts."""


@dataclass(frozen=True)
class Core:
    """A core of a design: its ``kind``, its ``parts``, and the LUT4-equivalents and flip-flops that Yosys made."""

    kind: str
    parts: Parts
    lut4_eq: int
    ff: int


def cores_of(subject: Design) -> list[Core]:
    """A design as a whole, and all its cores."""
    verilog = emit.verilog(subject, name="top")
    with tempfile.TemporaryDirectory(prefix="spikeloom-fit-") as name:
        cells = counted(verilog, Path(name))
        modules = kept("modules", verilog, lambda: _modules(Path(name)))
    whole = Parts()
    for element in subject.elements:
        whole.add(element.spec.parts())
    found = [Core(WHOLE, whole, cells["lut4_eq"], cells["ff"])]
    for element in subject.elements:
        path = f"\\top_{subject.instances[element.name]}"
        for part, parts in element.spec.core_parts().items():
            cells = _cells(modules, f"{path}_{part}" if part else path)
            luts = cells.get("LUT4", 0) + 2 * cells.get("CCU2C", 0)
            kind = part.rstrip("0123456789") or type(element.spec).__name__.removesuffix("Spec").lower()
            found.append(Core(kind, parts, luts, cells.get("TRELLIS_FF", 0)))
    return found


def _modules(folder: Path) -> dict[str, Any]:
    """What Yosys makes of every module of ``top.v`` in ``folder``, by its name."""
    passes = [
        "read_verilog -DSPIKELOOM_ECP5 top.v",
        f"scratchpad -set abc9.D {RELAXED}",
        "synth_ecp5 -noflatten -top top",
        "tee -q -o stat.json stat -json",
    ]
    yosys.run(passes, folder)
    return json.loads((folder / "stat.json").read_text())["modules"]


def _cells(modules: dict[str, Any], name: str) -> Counter[str]:
    """Cells of a module with those of the library's modules in it."""
    found: Counter[str] = Counter()
    for cell, count in modules[name]["num_cells_by_type"].items():
        inner = _cells(modules, cell) if cell.startswith("$paramod") else {cell: 1}
        for kind, number in inner.items():
            found[kind] += count * number
    return found


def fitted(cores: Sequence[Core]) -> dict[str, float]:
    """Prices of the kinds of parts, not negative, with the least squares of errors in relation to the square root. As
    if there were, besides, a core of two parts of every kind for 2 LUTs, so that rare kinds get a fair price."""
    kinds = sorted({kind for core in cores for kind, count in core.parts.logic.items() if count})
    luts = np.array([core.lut4_eq for core in cores] + [2] * len(kinds))
    scale = np.array([*(WEIGHT if core.kind == WHOLE else 1 for core in cores), *(1 for _ in kinds)]) / np.sqrt(
        luts + 10
    )
    counts = [[core.parts.logic.get(kind, 0) for kind in kinds] for core in cores]
    matrix = np.concatenate([counts, 2 * np.eye(len(kinds))]) * scale[:, None]
    wanted = luts * scale
    squares, mixed, prices = matrix.T @ matrix, matrix.T @ wanted, np.zeros(len(kinds))
    for _ in range(5000):  # one coordinate after the other
        before = prices.copy()
        for j in range(len(kinds)):
            prices[j] = max(0.0, prices[j] + (mixed[j] - squares[j] @ prices) / squares[j, j])
        if np.abs(prices - before).max() < 1e-7:
            break
    return {kind: round(float(price), 3) for kind, price in zip(kinds, prices, strict=True)}


def written(prices: dict[str, float]) -> str:
    """The text of ``gen/cost/coefficients.py`` with ``prices``."""
    before = Path(coefficients.__file__).read_text()
    lines = "".join(f'    "{kind}": {price},\n' for kind, price in prices.items())
    return before[: before.index("LUTS:")] + f"LUTS: dict[str, float] = {{\n{lines}}}\n"


def main(argv: list[str] | None = None) -> int:
    """Fit and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost_fit", description="Fit the cost model.")
    parser.add_argument("designs", nargs="*", metavar="DESIGN", help="all without this argument")
    names = parser.parse_args(argv).designs or NAMES
    if unknown := set(names) - set(NAMES):
        parser.error(f"no such design: {', '.join(sorted(unknown))}; choose from {', '.join(NAMES)}")
    cores: list[Core] = []
    for name in names:
        cores += cores_of(design(name))
        print(f"{name}: {len(cores)} cores so far", flush=True)
    prices = fitted(cores)
    for kind in sorted({core.kind for core in cores}):
        mine = [core for core in cores if core.kind == kind]
        model = sum(prices[k] * n for core in mine for k, n in core.parts.logic.items() if n)
        ff = sum(core.parts.ff for core in mine), sum(core.ff for core in mine)
        print(f"{kind:14} {len(mine):4} cores, LUT4-eq. {sum(c.lut4_eq for c in mine):6}, model {model:8.0f}, FF {ff}")
    Path(coefficients.__file__).write_text(written(prices))
    return 0


if __name__ == "__main__":
    sys.exit(main())
