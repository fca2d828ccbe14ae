"""What the floats of a QONNX graph are functions of: the integers of a network, channel by channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

__all__ = ["HALF", "Code", "Fused", "Numbers", "Part", "Rise", "power_of_two"]


HALF = 2.0**-24
"""The most that a single float near 1 is rounded by."""


class Rise(NamedTuple):
    """An operation on floats that never turns, channel by channel: ``op``, a key of :data:`_COMPUTE`, with
    ``constants`` (C,) or numbers, single floats."""

    op: str
    constants: tuple[np.ndarray, ...]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """That of ``x`` (C, n), in its precision, rounded after every operation as ONNX Runtime does."""
        return _COMPUTE[self.op](x, *(np.asarray(c, x.dtype).reshape(-1, 1) for c in self.constants))


def _normed(x: Any, scale: Any, bias: Any, mean: Any, var: Any, epsilon: Any) -> Any:
    gain = scale * (1 / np.sqrt(var + epsilon))
    return x * gain + (bias - mean * gain)


_COMPUTE: dict[str, Any] = {
    "Add": lambda x, c: x + c, "Sub": lambda x, c: x - c, "From": lambda x, c: c - x, "Mul": lambda x, c: x * c,
    "Div": lambda x, c: x / c, "BatchNormalization": _normed, "Relu": lambda x: np.maximum(x, 0),
    "Clip": np.clip, "LeakyRelu": lambda x, c: np.where(x < 0, x * c, x),
}  # fmt: skip
CLAMPS = ("Relu", "Clip")
AFFINE = ("Add", "Sub", "From", "Mul", "Div", "BatchNormalization")


class Code(NamedTuple):
    """How a tensor of 8 bits says numbers: q stands for (q - ``zero``) * ``scale``, with q in ``low``..``high``."""

    scale: np.float32
    zero: int
    low: int
    high: int


class Fused(NamedTuple):
    """Sums of integers as runtimes requantise them: the level is sum * (``scale`` / (``count`` * the scale behind)),
    (C,), in single floats, with one rounding after each operation. ``ordered``, whether runtimes add up floats instead,
    so that their order decides where a sum lies half-way between two levels."""

    scale: np.ndarray
    count: int = 1
    ordered: bool = False

    def factor(self, behind: np.float32) -> np.ndarray:
        """What integers (C,) are multiplied by, before a quantiser of the scale ``behind``."""
        return (self.scale / (behind * np.float32(self.count))).astype(np.float32)


class Part(NamedTuple):
    """Every so manyth row and column, ``stride`` (rows, columns), with ``before`` and ``after`` channels of zeros: what
    a shortcut takes of a map."""

    stride: tuple[int, int] = (1, 1)
    before: int = 0
    after: int = 0


@dataclass(frozen=True)
class Numbers:
    """A tensor of ``shape`` (N, C, ...) whose floats are rises((n + offset) * unit), with n the integers that ``node``
    gives, in -reach..reach.

    ``unit`` (C,), positive, and ``offset`` (C,), in float64; ``error`` (C,), by how much the floats of the graph may be
    away from (n + offset) * unit, in units, for sums of floats round; ``rises`` follow one another. Where the graph has
    integers of 8 bits and no floats, they are ``whole``. ``code``, where the floats are those of a tensor of 8 bits;
    ``fused``, where they are sums of such; ``part``, what is taken of the map that ``node`` gives.
    """

    node: str
    shape: tuple[int, ...]
    reach: int
    unit: np.ndarray
    offset: np.ndarray
    error: np.ndarray
    rises: tuple[Rise, ...] = field(default=())
    whole: bool = False
    code: Code | None = None
    fused: Fused | None = None
    part: Part = field(default=Part())

    def behind(self, op: str, *constants: Any) -> Numbers:
        """What ``op`` makes of it."""
        rise = Rise(op, tuple(np.asarray(c, np.float32) for c in constants))
        kept = self.fused if op in CLAMPS else None
        return replace(self, rises=(*self.rises, rise), code=None, fused=kept)

    def floats(self, n: np.ndarray, kind: type = np.float32, moved: int = 0) -> np.ndarray:
        """The floats for the integers ``n`` (C, k), in float32 as the graph has them, or in float64, where ``moved`` is
        -1, 0 or 1 times the error."""
        base = (n + self.offset[:, None] + moved * self.error[:, None]) * self.unit[:, None]
        x = base.astype(kind)
        with np.errstate(all="ignore"):
            for rise in self.rises:
                x = rise(x)
        return x

    def line(self) -> tuple[np.ndarray, np.ndarray] | None:
        """(gain, start) such that the floats are gain * n + start, (C,) each, in float64; None where they bend."""
        if not all(rise.op in AFFINE for rise in self.rises):
            return None
        ends = np.zeros((len(self.unit), 2))
        ends[:, 1] = 1
        # The line of the unit and the one of the rises, put together: no difference of large numbers.
        start, one = Numbers.of(self.node, self.shape, 1, rises=self.rises).floats(ends, np.float64).T
        gain = one - start
        return gain * self.unit, start + gain * self.unit * self.offset

    def moved(self, node: str, shape: tuple[int, ...]) -> Numbers:
        """The same of the same channels of another ``node``, in another ``shape``."""
        return replace(self, node=node, shape=shape)

    def averaged(self, node: str, shape: tuple[int, ...], count: int) -> Numbers:
        """Means of ``count`` of them, of whose sums ``node`` gives; a division by other than a power of two rounds."""
        reach, offset, error = self.reach * count, self.offset * count, self.error * count
        exact = power_of_two(np.array(count)) and not error.any()
        more = 0 if exact else (count + 1) * HALF * (reach + np.abs(offset))
        return Numbers.of(node, shape, reach, self.unit / count, offset, error + more)

    def flattened(self, node: str, shape: tuple[int, ...], size: int) -> Numbers:
        """A map of ``size`` pixels a channel as a vector."""
        unit, offset, error = (v.repeat(size) for v in (self.unit, self.offset, self.error))
        rises = (Rise(r.op, tuple(c.repeat(size) if c.size > 1 else c for c in r.constants)) for r in self.rises)
        found = Numbers.of(node, shape, self.reach, unit, offset, error, tuple(rises))
        fused = self.fused and self.fused._replace(scale=self.fused.scale.repeat(size))
        return replace(found, whole=self.whole, code=self.code, fused=fused)

    def unflattened(self, node: str, shape: tuple[int, ...]) -> Numbers | None:
        """The same before :meth:`flattened`, of the map ``shape`` that ``node`` gives; None where the pixels of one
        channel differ."""
        size = len(self.unit) // shape[1]
        parts = [self.unit, self.offset, self.error, *(c for rise in self.rises for c in rise.constants)]
        rows = [v.reshape(-1, size) if v.size > 1 else v.reshape(1, 1) for v in parts]
        if any((row != row[:, :1]).any() for row in rows):
            return None
        rises = (Rise(r.op, tuple(c[::size] if c.size > 1 else c for c in r.constants)) for r in self.rises)
        unit, offset, error = (v[:, 0] for v in rows[:3])
        return Numbers.of(node, shape, self.reach, unit, offset, error, tuple(rises))

    @classmethod
    def levels(cls, node: str, shape: tuple[int, ...], reach: int, unit: np.ndarray, offset: np.ndarray) -> Numbers:
        """Those behind a quantiser, (n + offset) * unit in single floats: products with powers of two are exact."""
        exact = power_of_two(unit) or reach == 1 and not offset.any()
        return cls.of(node, shape, reach, unit, offset, 0 if exact else HALF * (reach + np.abs(offset)))

    @classmethod
    def of(cls, node: str, shape: tuple[int, ...], reach: int, unit: Any = 1.0, offset: Any = 0.0, error: Any = 0.0,
           rises: Sequence[Rise] = ()) -> Numbers:  # fmt: skip
        """Numbers with one unit, offset and error, or one a channel."""
        unit, offset, error = (np.broadcast_to(np.asarray(v, np.float64), shape[1:2]) for v in (unit, offset, error))
        return cls(node, shape, reach, unit, offset, error, tuple(rises))


def power_of_two(x: np.ndarray) -> bool:
    """Whether all numbers of ``x`` are powers of two: products with them round nothing."""
    return bool((np.frexp(x)[0] == 0.5).all())
