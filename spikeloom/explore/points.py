"""Points of the design space: what each is good for, which none beats, which to synthesise first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..gen.folding.pareto import undominated
from ..gen.targets.fpga.devices import Device

__all__ = ["OBJECTIVES", "at_clock", "best", "mark_front", "spread", "thinned", "what_binds"]

OBJECTIVES = {
    "fps": "frames a second",
    "latency_us": "latency in microseconds",
    "luts": "LUTs",
    "ebr": "block RAMs",
    "accuracy": "accuracy",
    "energy_nj": "energy estimate in nJ an image",
}
"""What points are compared in."""

NEAR = 0.01
"""Accuracy that the best point may lack: a faster network that answers worse is no answer."""

_LARGER = {"fps", "accuracy"}


def at_clock(point: dict[str, Any], mhz: float) -> None:
    """Put ``fps`` and ``latency_us`` of a clock into ``point``."""
    point["fps"] = round(1e6 * mhz / point["interval"], 2)
    point["latency_us"] = round(point["latency"] / mhz, 3)


def _figures(points: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """(n, objectives), smaller being better; what is not known counts the same for all."""
    return np.array([
        [0.0 if p[name] is None else -p[name] if name in _LARGER else p[name] for name in OBJECTIVES] for p in points
    ])  # fmt: skip


def mark_front(points: Sequence[dict[str, Any]]) -> None:
    """Set ``front`` in every point: whether no other that fits is as good in all objectives."""
    fits = [point for point in points if point["fits"]]
    for point in points:
        point["front"] = False
    for k in undominated(_figures(fits)) if fits else ():
        fits[k]["front"] = True


def best(points: Sequence[dict[str, Any]], objective: str) -> dict[str, Any] | None:
    """The point that is best by ``objective``, then in LUTs; of those on the front whose accuracy is within
    :data:`NEAR` of the best."""
    sign = -1 if objective in _LARGER else 1
    most = max((point["accuracy"] or 0.0 for point in points), default=0.0)
    near = [point for point in points if (point["accuracy"] or 0.0) >= most - NEAR]
    front = [point for point in near if point["front"] and point[objective] is not None]
    return min(front, key=lambda p: (sign * p[objective], p["luts"], p["id"]), default=None)


def thinned(points: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """``count`` of ``points`` with ``cycles`` and ``cost``, spread over them: the fastest and the smallest first."""
    if len(points) <= count:
        return list(points)
    return _farthest([[p["cycles"], p["cost"][0], p["cost"][2] + 1] for p in points], points, count)


def spread(points: Sequence[dict[str, Any]], count: int, first: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """``count`` points of the front, ``first`` one of them, as far from each other as can be in frames a second, LUTs
    and block RAMs (each in its logarithm): those that say most about the front."""
    front = [point for point in points if point["front"]]
    front.sort(key=lambda point: (point is not first, -point["fps"], point["id"]))
    return _farthest([[p["interval"], p["luts"], p["ebr"] + 1] for p in front], front, count)


def _farthest(figures: Sequence[Sequence[float]], points: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Greedy: the first, then always the one farthest from all taken."""
    if not points:
        return []
    at = np.log([[float(x) for x in row] for row in figures])
    at = at / np.maximum(np.ptp(at, axis=0), 1e-9)
    taken, distance = [0], np.linalg.norm(at - at[0], axis=1)
    while len(taken) < min(count, len(points)):
        k = int(distance.argmax())
        if distance[k] <= 0:
            break
        taken.append(k)
        distance = np.minimum(distance, np.linalg.norm(at - at[k], axis=1))
    return [points[k] for k in sorted(taken)]


def what_binds(point: Mapping[str, Any], device: Device | None) -> str:
    """What keeps a design from being faster, and from being larger."""
    stage = max(point["stages"], key=lambda s: s["cycles"])
    text = f"{stage['name']}: busy in {stage['cycles']:,} of {math.ceil(point['interval']):,} cycles"
    if device is not None:
        used = np.array([point["luts"], point["ff"], point["ebr"]]) / device.budget[:3]
        name = ("LUTs", "flip-flops", "block RAMs")[int(used.argmax())]
        text += f"; {100 * used.max():.0f} % of the {name} that may be used"
    return text
