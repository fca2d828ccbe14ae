"""The report of a design that was verified: what ``spikeloom demo`` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from ..browser import SECTIONS, check_page
from ..gen.design import Design
from ..quant.ir.ops import Synapse
from . import page

__all__ = ["SECTIONS", "Findings", "check_page", "render", "write"]


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
    page.write(path, render(findings))


def render(findings: Findings) -> str:
    """The page as text."""
    from .pictures import raster, timeline

    return page.render(
        "verified.html", f=findings, title=findings.title, network=findings.design.network,
        stages=page.stages(findings.design, findings.contents), weights=_weights(findings.design),
        predicted=findings.contents["predicted"],
        estimate=sum(s["lut4_eq_estimate"] for s in findings.contents["predicted"]["stages"].values()),
        raster=Markup(raster(findings.design.network, findings.image, findings.label)),
        timeline=Markup(timeline(findings.design)))


def _weights(design: Design) -> str:
    layers = [node for node in design.network if isinstance(node, Synapse)]
    count, bits = sum(node.weight.size for node in layers), sorted({node.weight_bits for node in layers})
    return f"{count:,} weights of {' or '.join(map(str, bits))} bits"
