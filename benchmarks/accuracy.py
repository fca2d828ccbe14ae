"""Accuracy and activity of the committed networks on their whole test splits, beside what their papers report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeloom import api
from spikeloom.quant.data import DataError
from spikeloom.quant.ir.ops import IF

from .records import FOLDER
from .works import MODELS

__all__ = ["Trained", "measure", "papers", "trained"]

@dataclass(frozen=True)
class Trained:
    """A network file: ``name``; ``path``; ``data``, as ``spikeloom eval`` takes it; ``what``, method and neurons."""

    name: str
    path: Path
    data: str
    what: str


def trained() -> list[Trained]:
    """The committed networks."""
    found = []
    for path in sorted(MODELS.glob("*.safetensors")):
        network = api.load(path)
        recipe = json.loads(network.meta["recipe"])
        rules = {node.rule for node in network if isinstance(node, IF)}
        kind = f"T = {network.steps}, {', '.join(sorted(rules))}" if rules else "values"
        bits = recipe.get("weight_bits") or recipe.get("bits")
        bits = bits[-1] if isinstance(bits, list) else bits  # of rounds the last one
        found.append(Trained(path.stem, path, network.meta["data"], f"{recipe['method']}, W{bits}, {kind}"))
    return found


def measure(subject: Trained) -> dict[str, tuple[float, str]]:
    """Figures of ``subject`` with their units. Raises DataError where its data set is not here."""
    network = api.load(subject.path)
    found = api.evaluate(network, api.frames(network, subject.data))
    figures = {
        "accuracy_percent": (round(100 * found["accuracy"], 2), f"% of {found['frames']} test images"),
        "operations": (round(found["operations"]), "synaptic operations an image"),
        "nanojoules": (round(found["nanojoules"], 1), "nJ an image"),
        "ann_operations": (found["ann_operations"], "multiply-accumulates an image"),
        "ann_nanojoules": (round(found["ann_nanojoules"], 1), "nJ an image"),
    }
    spiking = [layer for layer in found["layers"] if layer["input"] == "spikes"]
    if spiking:
        figures["rate"] = (round(sum(x["rate"] for x in spiking) / len(spiking), 3), "spikes, mean of the layers")
    for t, share in enumerate(found["over_time"], 1):
        figures[f"accuracy_percent_t{t}"] = (round(100 * share, 2), f"% after {t} time steps")
    return figures


def papers() -> dict[str, dict[str, Any]]:
    """The papers' figures by network: ``figure`` in percent, ``source``."""
    return json.loads((FOLDER / "papers.json").read_text())


def reason(subject: Trained) -> str:
    """Why ``subject`` cannot be measured here, or ""."""
    try:
        api.frames(api.load(subject.path), subject.data, 1)
    except DataError as error:
        return f"{subject.data.partition(':')[0]} is not here ({type(error).__name__}); SPIKELOOM_DATA names its folder"
    return ""
