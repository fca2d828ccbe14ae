"""Quantisers of QONNX beside Quant: Trunc, a shift of integers, and MultiThreshold, a list of edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..step import Step
from .quantisers import ROUNDINGS, Quantiser, bits_from, ends

__all__ = ["MultiThreshold", "Trunc"]

ANY = 1 << 53
"""Where the levels of a Trunc end that does not clip."""


@dataclass(frozen=True, kw_only=True)
class Trunc(Quantiser):
    """level(x) = round(clip(rint(x / scale + zero) / divisor, low, high)), worth (level - zero / divisor) * ``wide``,
    or (level - zero) * scale where there is no ``wide``, as Trunc of version 1 has it."""

    divisor: float = 1.0
    wide: np.ndarray | None = None

    @classmethod
    def of(cls, step: Step, x: Sequence[Any]) -> Trunc:
        """That of a Trunc of version 1 (scale, zero point, bits before, bits behind) or 2 (scale, zero point, bits
        before, scale behind, bits behind), ``x``."""
        if len(x) not in (4, 5) or not all(isinstance(v, np.ndarray) and v.size for v in x):
            step.refuse("without constants for scales, zero point and bits", "constants")
        scale, zero = np.asarray(x[0], np.float32), np.asarray(x[1], np.float32)
        rounding = str(step.get("rounding_mode", "FLOOR")).upper()
        if rounding not in ROUNDINGS:
            step.refuse(f"with rounding_mode={rounding!r}", ", ".join(ROUNDINGS))
        if not (np.isfinite(scale).all() and (scale > 0).all()) or not (zero == np.rint(zero)).all():
            step.refuse("with a scale that is not positive, or a zero point that is no whole number", "others")
        before, behind = bits_from(step, x[2]), bits_from(step, x[-1])
        if len(x) == 4:
            if behind > before:
                step.refuse(f"of {before} bits to {behind}", "as many bits, or fewer")
            return cls(scale, zero, -ANY, ANY, rounding, divisor=2.0 ** (before - behind))
        wide = np.asarray(x[3], np.float32)
        ratio = wide.astype(np.float64) / scale
        power = np.rint(np.log2(ratio, where=ratio > 0, out=np.zeros_like(ratio)))
        if wide.size != 1 or not np.isfinite(wide).all() or (wide <= 0).any() or (power != power.flat[0]).any():
            step.refuse("with a scale behind it that is not one positive number", "one power of two times the scale")
        divisor = 2.0 ** float(power.flat[0])
        if (zero % divisor).any():
            step.refuse("with a zero point that is no multiple of the divisor", "a zero point of 0")
        low, high = ends(behind, bool(step.get("signed", 1)), bool(step.get("narrow", 0)))
        return cls(scale, zero, low, high, rounding, divisor=divisor, wide=wide)

    def levels(self, x: np.ndarray) -> np.ndarray:
        """The level of every number of ``x``, in its own precision."""
        kind = x.dtype.type
        y = np.rint(x / self.scale.astype(kind) + self.zero.astype(kind)) / kind(self.divisor)
        y = np.clip(y, kind(self.low), kind(self.high))
        return ROUNDINGS[self.rounding](y).astype(np.int64)

    @property
    def worth(self) -> tuple[np.ndarray, np.ndarray]:
        """What a level of 1 is worth, and the level that is worth 0, each of the shape of the scale."""
        if self.wide is None:
            return self.scale, self.zero
        return np.broadcast_to(self.wide.reshape(-1)[:1], self.scale.shape), self.zero / self.divisor


@dataclass(frozen=True, kw_only=True)
class MultiThreshold(Quantiser):
    """level(x) = how many of ``edges`` (C, K) or (1, K) x reaches, worth level * ``scale`` + ``bias``."""

    edges: np.ndarray
    bias: float = 0.0

    @classmethod
    def of(cls, step: Step, x: Sequence[Any], shape: tuple[int, ...]) -> MultiThreshold:
        """That of a MultiThreshold of a tensor of ``shape`` (N, C, ...), ``x`` its inputs behind the first."""
        if len(x) != 1 or not isinstance(x[0], np.ndarray) or x[0].ndim != 2 or len(x[0]) not in (1, shape[1]):
            step.refuse("without constants for its thresholds, (C, K) or (1, K)", "constants")
        scale, bias = step.number("out_scale", 1.0), step.number("out_bias", 0.0)
        step.get("out_dtype", "")
        if (layout := step.get("data_layout", "")) not in ("", "NC", "NCHW"):
            step.refuse(f"with data_layout={layout!r}", "NCHW")
        if not np.isfinite(x[0]).all() or not np.isfinite((scale, bias)).all() or scale <= 0:
            step.refuse("with thresholds that are not finite, or an out_scale that is not positive", "others")
        found = np.sort(x[0].astype(np.float32), 1)
        size = np.full(1, scale, np.float32)
        return cls(size, np.zeros(1, np.float32), 0, found.shape[1], edges=found, bias=bias)

    def levels(self, x: np.ndarray) -> np.ndarray:
        """The level of every number of ``x`` (C, n)."""
        rows = np.broadcast_to(self.edges, (len(x), self.edges.shape[1]))
        return np.stack([np.searchsorted(row, line, "right") for row, line in zip(rows, x, strict=True)])

    def unflattened(self, size: int) -> MultiThreshold | None:
        """The same before a Flatten, where one list of edges is for all."""
        found = super().unflattened(size)
        return found if isinstance(found, MultiThreshold) and len(self.edges) == 1 else None

    @property
    def worth(self) -> tuple[np.ndarray, np.ndarray]:
        """What a level of 1 is worth, and the level that is worth 0, each of the shape of the scale."""
        return self.scale, np.full(self.scale.shape, -self.bias / float(self.scale.flat[0]))
