"""The cost model against synthesis: how far off it is, and the factor that brings it nearest for these networks."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from ..gen.targets.fpga.devices import LUT_RAM_LUTS

__all__ = ["calibrate", "synthesised_luts"]


def synthesised_luts(cells: dict[str, Any]) -> float:
    """LUTs of a synthesised design, those lost to LUT RAM included, as the model counts them."""
    return cells["lut4_eq"] + LUT_RAM_LUTS * cells["lut_ram"]


def calibrate(points: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Errors of the model on the points with ``synthesis``; where there are three or more, the LUTs of all ``points``
    are multiplied by the median of synthesis / model (``luts_model`` keeps what the model said). The errors after
    that are those with a factor from the other points: each point is judged by what it had no part in."""
    pairs = [(synthesised_luts(p["synthesis"]), p["luts"], p) for p in points if p["synthesis"] is not None]
    if not pairs:
        return None
    ratios = [real / model for real, model, _ in pairs]
    scale = median(ratios) if len(ratios) >= 3 else 1.0
    before = [100 * (1 / ratio - 1) for ratio in ratios]
    after = [
        100 * (median(ratios[:k] + ratios[k + 1 :]) / ratio - 1) if len(ratios) >= 4 else 100 * (scale / ratio - 1)
        for k, ratio in enumerate(ratios)
    ]
    for point in points:
        point["luts_model"] = point["luts"]
        point["luts"] = round(scale * point["luts"], 1)
        for stage in point["stages"]:
            stage["luts"] = round(scale * stage["luts"], 1)
    return {
        "points": len(pairs),
        "scale": round(scale, 4),
        "lut_median_percent": round(median(map(abs, before)), 2),
        "lut_worst_percent": round(max(map(abs, before)), 2),
        "calibrated_median_percent": round(median(map(abs, after)), 2),
        "calibrated_worst_percent": round(max(map(abs, after)), 2),
        "ff_worst_percent": round(max(abs(100 * (p["ff"] / p["synthesis"]["ff"] - 1)) for *_, p in pairs), 2),
        "ebr_equal": sum(p["ebr"] == p["synthesis"]["ebr"] for *_, p in pairs),
        "note": "errors of the model, then of the model times a factor found without the point in question",
    }
