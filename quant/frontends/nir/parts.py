"""What a NIR graph is made of, in real numbers: weights, sums over windows, a map as a vector, neurons.

Everything that only multiplies goes into the weights behind it, or before it where there are none yet: ``Scale``, and
the division of ``AvgPool2d``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...ir.windows import Windows, alike

__all__ = ["Chain", "Fires", "Flat", "Part", "Shape", "Sums", "Weighted", "convolved", "maps", "pooled"]

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Weighted:
    """Currents: ``weight`` (Co, Ci / groups, Ky, Kx) with ``windows``, or (out, in) without, and ``bias`` (Co,).
    ``bits``: what the file says of the bits of its weights, if anything."""

    name: str
    weight: np.ndarray
    bias: np.ndarray
    windows: Windows | None = None
    groups: int = 1
    bits: int | None = None


@dataclass(frozen=True)
class Fires:
    """Neurons: v += I in every step, from ``v0`` (C,) or (C, H, W); where v >= ``threshold`` (C,), or with ``strict``
    v > threshold, a spike, and v -= threshold."""

    name: str
    threshold: np.ndarray
    v0: np.ndarray
    strict: bool


@dataclass(frozen=True)
class Sums:
    """The sum over ``windows``."""

    name: str
    windows: Windows


@dataclass(frozen=True)
class Flat:
    """(C, H, W) to a vector. ``implied``: the file alone needs it, for a vector there is no map of one pixel."""

    name: str
    implied: bool = False


def maps(shape: tuple[int, ...]) -> Shape:
    """A shape of NIR, (C, H, W), (C, L) or (n,), as a network has it: lines are maps of one row."""
    c, *rest = shape
    high, wide = rest if len(rest) == 2 else (1, *rest) if rest else (1, 1)
    return c, high, wide


def pooled(windows: Windows) -> dict[str, Any]:
    """The settings of a pool as layers and nodes have them."""
    return {"kernel": alike(windows.kernel), **_moved(windows)}


def convolved(part: Weighted) -> dict[str, Any]:
    """The settings of a convolution as layers and nodes have them, none of a vector."""
    if part.windows is None:
        return {}
    return {**_moved(part.windows), "groups": part.groups, "dilation": alike(part.windows.dilation)}


def _moved(windows: Windows) -> dict[str, Any]:
    sides = [side for sides in windows.padding for side in sides]
    return {"stride": alike(windows.stride), "padding": alike(sides)}


Part = Weighted | Fires | Sums | Flat


@dataclass(frozen=True)
class Chain:
    """A graph: ``parts``, one behind the other, from an image ``image`` of ``shape`` (C, H, W) to the logits
    ``answer``, the last of them weights, whose results are added up over time. ``high``, where the file says that its
    pixels are integers 0..high, and ``steps``, T, where it says that, else None. ``file``, its name."""

    image: str
    shape: Shape
    parts: tuple[Part, ...]
    answer: str
    high: int | None
    steps: int | None
    file: str
