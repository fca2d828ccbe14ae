"""The points of an exploration as CSV: one row a point, units in the names of the columns."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..gen.folding.fold import folds_line, parse_folds
from ..quant.files.replacing import replacing

__all__ = ["write"]

_FIGURES = {
    "form": "form",
    "skip": "skip",
    "front": "front",
    "fits": "fits",
    "source": "source",
    "cycles": "busiest_stage_cycles",
    "interval": "interval_cycles",
    "latency": "latency_cycles",
    "fps": "frames_per_second",
    "latency_us": "latency_us",
    "luts": "luts",
    "ff": "flip_flops",
    "ebr": "block_rams",
    "accuracy": "accuracy_0_to_1",
    "energy_nj": "energy_nj_per_frame",
    "operations_per_cycle": "operations_per_cycle",
    "operations_per_weight_bit": "operations_per_weight_bit",
}
"""Columns by what they are called in a point."""

_SYNTHESIS = {
    "lut4_eq": "synthesis_lut4_eq",
    "lut_ram": "synthesis_lut_ram_dpr16x4",
    "ff": "synthesis_flip_flops",
    "ebr": "synthesis_block_rams",
    "mhz": "synthesis_mhz",
}


def write(path: str | Path, found: Mapping[str, Any]) -> None:
    """Write the points of ``found``, the contents of ``explore.json``, to ``path`` in one go."""
    rows = [_row(point, found["networks"][point["network"]], found["clock"]["mhz"]) for point in found["points"]]
    with replacing(Path(path)) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        columns = ["point", "network", *_FIGURES.values()] if not rows else list(rows[0])
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def _row(point: Mapping[str, Any], network: Mapping[str, Any], mhz: float) -> dict[str, Any]:
    synthesis = point["synthesis"] or {}
    return {
        "point": point["id"],
        "network": network["name"],
        "network_hash": network["hash"],
        "steps": network["steps"],
        "clock_mhz": mhz,
        **{column: _plain(point[key]) for key, column in _FIGURES.items()},
        **{column: _plain(synthesis.get(key)) for key, column in _SYNTHESIS.items()},
        "binds": point["binds"],
        "folds": folds_line(parse_folds(point["folds"], f"point {point['id']}")),
        "fold_file": point["fold_file"],
        "build": point["build"],
    }


def _plain(value: Any) -> Any:
    """A value as it stands in a table: nothing for what is not known; no digits that are the rounding of a float."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else float(f"{value:.9g}") if isinstance(value, float) else value
