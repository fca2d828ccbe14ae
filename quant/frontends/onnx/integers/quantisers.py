"""The quantisers of QONNX, and what they make of constants: integers times a scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..step import Step
from ..weights import by_channel
from .numbers import HALF

__all__ = ["MOST_BITS", "ROUNDINGS", "Quantised", "Quantiser", "bits_from", "ends", "quantised"]

Rounding = Callable[[np.ndarray], np.ndarray]

ROUNDINGS: dict[str, Rounding] = {
    "ROUND": np.rint, "HALF_EVEN": np.rint, "CEIL": np.ceil, "FLOOR": np.floor, "DOWN": np.trunc,
    "UP": lambda x: np.copysign(np.ceil(np.abs(x)), x),
    "HALF_UP": lambda x: np.copysign(np.floor(np.abs(x) + 0.5), x),
    "HALF_DOWN": lambda x: np.copysign(np.ceil(np.abs(x) - 0.5), x),
}  # fmt: skip
"""By their names in QONNX: to the nearest whole number, a half to the even one, up, down; towards 0, away from it; a
half away from 0, a half towards it. All of them rise."""

MOST_BITS = 32
"""The most bits of a quantiser."""


def bits_from(step: Step, x: np.ndarray) -> int:
    """A constant number of bits."""
    if x.size != 1 or float(x.reshape(())) not in range(1, MOST_BITS + 1):
        step.refuse(f"of {x.reshape(-1)[:4].tolist()} bits", f"one whole number of bits, 1 to {MOST_BITS}")
    return int(x.reshape(()))


def ends(bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    """The lowest and the highest level of so many ``bits``."""
    half = 1 << (bits - 1)
    return (-half + narrow, half - 1) if signed else (0, 2 * half - 1 - narrow)


@dataclass(frozen=True)
class Quantiser:
    """level(x) = clip(round(x / scale + zero), low, high), worth (level - zero) * scale; ``bipolar``: 1 for x >= 0,
    else -1, worth level * scale. ``scale`` and ``zero`` are numbers, or arrays that meet what is quantised."""

    scale: np.ndarray
    zero: np.ndarray
    low: int
    high: int
    rounding: str = "ROUND"
    bipolar: bool = False

    @classmethod
    def of(cls, step: Step, x: Sequence[Any]) -> Quantiser:
        """That of a Quant or BipolarQuant, ``x`` its inputs behind the first."""
        wanted = 1 if step.op == "BipolarQuant" else 3
        if len(x) != wanted or not all(isinstance(v, np.ndarray) for v in x):
            step.refuse("without constants for scale, zero point and bits", "constants")
        scale = np.asarray(x[0], np.float32)
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            step.refuse("with a scale that is not positive", "positive scales")
        if step.op == "BipolarQuant":
            return cls(scale, np.zeros((), np.float32), -1, 1, bipolar=True)
        signed, narrow = bool(step.get("signed", 1)), bool(step.get("narrow", 0))
        rounding = str(step.get("rounding_mode", "ROUND")).upper()
        if rounding not in ROUNDINGS:
            step.refuse(f"with rounding_mode={rounding!r}", ", ".join(ROUNDINGS))
        bits, zero = bits_from(step, x[2]), np.asarray(x[1], np.float32)
        if bits == 1 and signed:
            if zero.any():
                step.refuse("of one bit with a zero point", "a zero point of 0")
            return cls(scale, zero, -1, 1, bipolar=True)
        if not ((zero == np.rint(zero)) & (np.abs(zero) < 1 << 24)).all():
            step.refuse("with a zero point that is no whole number", "whole ones below 2^24")
        return cls(scale, zero, *ends(bits, signed, narrow), rounding)

    def levels(self, x: np.ndarray) -> np.ndarray:
        """The level of every number of ``x``, in its own precision."""
        if self.bipolar:
            return np.where(x >= 0, 1, -1)
        kind = x.dtype.type
        y = np.clip(x / self.scale.astype(kind) + self.zero.astype(kind), kind(self.low), kind(self.high))
        return ROUNDINGS[self.rounding](y).astype(np.int64)

    @property
    def worth(self) -> tuple[np.ndarray, np.ndarray]:
        """What a level of 1 is worth, and the level that is worth 0, each of the shape of the scale."""
        return self.scale, self.zero

    def for_channels(self, step: Step, shape: tuple[int, ...]) -> Quantiser:
        """With a scale and a zero point (C, 1) for each channel of a tensor of ``shape``."""
        scale, zero = (by_channel(step, v, shape)[:, None] for v in (self.scale, self.zero))
        return replace(self, scale=scale, zero=zero)

    def unflattened(self, size: int) -> Quantiser | None:
        """The same before ``size`` pixels a channel became a vector; None where those of one channel differ."""
        scale, zero = (v.reshape(-1, size) for v in (self.scale, self.zero))
        if (scale != scale[:, :1]).any() or (zero != zero[:, :1]).any():
            return None
        return replace(self, scale=scale[:, :1], zero=zero[:, :1])


@dataclass(frozen=True)
class Quantised:
    """Constants: ``levels``, integers, times ``scale``, of a shape that meets theirs; ``zero``, what was taken off
    those of a file, and ``coded``, whether it has them as integers of 8 or 32 bits."""

    levels: np.ndarray
    scale: np.ndarray
    zero: int = 0
    coded: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the constants."""
        return self.levels.shape

    @property
    def floats(self) -> np.ndarray:
        """What they are worth, in single floats."""
        return np.asarray(self.levels.astype(np.float32) * self.scale.astype(np.float32))

    def in_units(self, step: Step, unit: np.ndarray) -> np.ndarray | None:
        """The levels (Co,) of a bias that counts in ``unit`` (Co,), but for a rounding; None for others."""
        if not self.coded or self.levels.shape != unit.shape:
            return None
        scale = np.broadcast_to(self.scale, unit.shape)
        return self.levels if (np.abs(scale - unit) <= 4 * HALF * unit).all() else None

    def transposed(self, step: Step) -> Quantised:
        """Its axes in another order."""
        order = tuple(step.get("perm", None) or reversed(range(self.levels.ndim)))
        if sorted(order) != list(range(self.levels.ndim)):
            step.refuse(f"with perm={list(order)} of {self.levels.ndim} dimensions", "each of them once")
        scale = np.broadcast_to(self.scale, self.levels.shape)
        return replace(self, levels=self.levels.transpose(order), scale=scale.transpose(order))

    def transposed_of(self) -> Quantised:
        """Its axes the other way round."""
        return replace(self, levels=self.levels.T, scale=np.broadcast_to(self.scale, self.levels.shape).T)

    def of_rows(self, step: Step) -> tuple[np.ndarray, np.ndarray]:
        """The levels, and the scale of each output: (Co,), the first axis."""
        scale = np.broadcast_to(self.scale, self.levels.shape).reshape(len(self.levels), -1)
        if (scale != scale[:, :1]).any():
            step.refuse("with weights of several scales for one output", "one scale for each output")
        return self.levels, scale[:, 0].astype(np.float64)


def quantised(step: Step, constant: Any) -> Quantised:
    """Constants that are whole numbers by themselves, or those of a quantiser."""
    if isinstance(constant, Quantised):
        return constant
    if not isinstance(constant, np.ndarray):
        step.refuse("of two tensors that depend on the image", "constant weights")
    if not ((constant == np.rint(constant)) & (np.abs(constant) < 256)).all():
        step.refuse("with weights that nothing quantises", "weights behind a Quant or BipolarQuant, or whole numbers")
    return Quantised(constant.astype(np.int64), np.ones((), np.float64))
