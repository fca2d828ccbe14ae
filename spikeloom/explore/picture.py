"""The fronts of an exploration as a picture for print: frames a second against LUTs. Same input, same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, NullLocator

from ..quant.files.replacing import replacing
from ..reports.pictures import COLOURS

__all__ = ["front", "write"]

STYLE: dict[Any, Any] = {"font.family": "sans-serif", "font.size": 11, "axes.labelsize": 11, "axes.titlesize": 12,
                         "legend.fontsize": 10, "axes.formatter.useoffset": False, "text.parse_math": False}
MARKERS = "osD^vPX*"
DASHES = {"counts": "-", "spikes": ":"}
GREY = "#8c8c8c"

_Group = tuple[int, str]


def write(path: str | Path, found: Mapping[str, Any]) -> None:
    """Write the picture of ``found``, the contents of ``explore.json``, to the PNG file ``path``, in one go."""
    with matplotlib.rc_context(STYLE):
        figure = Figure((7.2, 4.8), layout="constrained", dpi=200)
        _draw(figure.subplots(), found)
        with replacing(Path(path)) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})


def front(points: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of ``points`` with fewer LUTs than all that are as fast, from small to large."""
    best: list[Mapping[str, Any]] = []
    for point in sorted(points, key=lambda p: (p["luts"], -p["fps"])):
        if not best or point["fps"] > best[-1]["fps"]:
            best.append(point)
    return best


def _draw(axes: Axes, found: Mapping[str, Any]) -> None:
    points, networks = found["points"], found["networks"]
    axes.plot([p["luts"] for p in points], [p["fps"] for p in points], ".", color=GREY, alpha=0.5, markersize=4,
              markeredgewidth=0)
    groups: dict[_Group, list[Mapping[str, Any]]] = {}
    for point in points:
        groups.setdefault((point["network"], point["form"]), []).append(point)
    for k, ((network, form), some) in enumerate(sorted(groups.items())):
        best = front(some)
        axes.plot([p["luts"] for p in best], [p["fps"] for p in best], color=COLOURS[k % len(COLOURS)],
                  marker=MARKERS[k % len(MARKERS)], linestyle=DASHES.get(form, "--"), drawstyle="steps-post",
                  linewidth=1.6, markersize=6, label=f"{networks[network]['name']}, {form}")
    if made := [p for p in points if p["synthesis"]]:
        axes.plot([p["luts"] for p in made], [p["fps"] for p in made], "o", color="black", fillstyle="none",
                  markersize=12, markeredgewidth=1.3, label="synthesised")
    axes.set(xscale="log", yscale="log", xlabel="LUTs", title=found["title"],
             ylabel=f"frames/s at {found['clock']['mhz']:g} MHz")
    for axis in (axes.xaxis, axes.yaxis):
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 300 * low else (1,)))
        axis.set_major_formatter(EngFormatter(sep=""))
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())
    _budget(axes, found["device"])
    axes.grid(color="#d9dce1", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", facecolor="white", edgecolor="none", framealpha=0.9)


def _budget(axes: Axes, device: Mapping[str, Any] | None) -> None:
    """What a design may take of the device, where that is in sight."""
    low, high = axes.get_xlim()
    if device is not None and low < device["budget"]["luts"] < high:
        axes.axvline(device["budget"]["luts"], color="black", linestyle="--", linewidth=1)
        axes.annotate(f"room on {device['name']} ", (device["budget"]["luts"], 0.6), ha="right", va="center",
                      xycoords=("data", "axes fraction"), fontsize=10, rotation=90)
