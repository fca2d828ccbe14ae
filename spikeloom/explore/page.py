"""The report of an exploration: one HTML page with its charts, its script and its data in it, which loads nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..gen.targets.fpga.devices import LUT_RAM_LUTS
from ..quant.files.replacing import replacing

__all__ = ["SECTIONS", "render", "write"]

SECTIONS = ("summary", "front", "details", "stages", "points", "roofline", "explored", "model", "about")
"""Identifiers of the sections of the page."""

SCRIPTS = ("charts.js", "explore.js")

_BEST = {"fps": "most frames/s", "latency_us": "least latency (µs)", "luts": "fewest LUTs", "ebr": "fewest block RAMs"}
"""Cards of the head: a figure of the points, and what the point with the best of it has."""

_NAMES = {"fps": "frames/s", "latency_us": "latency", "luts": "LUTs", "ff": "flip-flops", "ebr": "block RAMs",
          "energy_nj": "energy"}
"""Objectives that are called otherwise in a sentence."""


def write(path: str | Path, found: Mapping[str, Any]) -> None:
    """Write the page of ``found`` to ``path``, in one go."""
    text = render(found)
    with replacing(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def render(found: Mapping[str, Any]) -> str:
    """The page of ``found``, the contents of ``explore.json``, as text. The same input and the same plotly give the
    same bytes. Raises ValueError where there is no point to show, or where a number is not finite."""
    from plotly.offline import get_plotlyjs

    if not found["points"]:
        raise ValueError("There is no point to show; the exploration found none")
    loader = PackageLoader("spikeloom.explore", ".")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True,
                              undefined=StrictUndefined)
    environment.filters |= {"number": number, "percent": lambda share: f"{100 * share:.2f} %", "large": large}
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    script = "".join(loader.get_source(environment, name)[0] for name in SCRIPTS)
    return environment.get_template("explore.html").render(
        f=found, data=_data(found), best=_best(found["points"]), fits=sum(p["fits"] for p in found["points"]),
        fronts=sum(p["front"] for p in found["points"]), forms=_each(p["form"] for p in found["points"]),
        synthesised=[p for p in found["points"] if p["synthesis"]], synthesis_luts=synthesis_luts,
        objectives=[_NAMES.get(name, name) for name in found["objectives"]],
        known=lambda key: any(p[key] is not None for p in found["points"]), script=Markup(script),
        plotly=Markup(get_plotlyjs()))


def _data(found: Mapping[str, Any]) -> dict[str, Any]:
    """What the script needs."""
    keys = "device", "clock", "objectives", "networks", "points", "roofline"
    return {key: found[key] for key in keys} | {"lut_ram_luts": LUT_RAM_LUTS}


def _best(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The extremes of what fits, or of all where nothing does."""
    among = [p for p in points if p["fits"]] or list(points)
    chosen = {key: (max if key == "fps" else min)(among, key=lambda point, key=key: point[key]) for key in _BEST}
    return [{"value": point[key], "name": _BEST[key], "id": point["id"]} for key, point in chosen.items()]


def _each(values: Iterable[str]) -> list[str]:
    """Every value once, in the order in which they come."""
    return list(dict.fromkeys(values))


def synthesis_luts(synthesis: Mapping[str, Any]) -> float:
    """LUTs that a synthesis takes of a device, those of LUT RAM included (``gen.targets.fpga.devices``)."""
    return synthesis["lut4_eq"] + LUT_RAM_LUTS * synthesis["lut_ram"]


def number(value: float | None) -> str:
    """``value`` in thousands, with two decimals below 10 and none from 100 on."""
    if value is None:
        return "–"
    size = abs(value)
    if size and size < 1:
        return f"{value:.3g}"
    text = f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def large(value: float) -> Markup:
    """``value`` as :func:`number`, from a billion on as a power of ten."""
    if value < 1e9:
        return Markup(number(value))
    digits, power = f"{value:.1e}".split("e")
    return Markup(f"{digits} × 10<sup>{int(power)}</sup>")
