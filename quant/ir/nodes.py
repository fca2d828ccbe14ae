"""The nodes of the integer network: what each one computes, to the last bit.

Every node is a frozen dataclass of integers, strings and read-only integer arrays. Its docstring gives the exact
equation; the golden model (``quant.golden``), the numpy models of the cores (``hdl``) and the RTL all follow it.
``docs/network.md`` is the normative text. Indices: c channel, t time step (0..T-1), y and x position.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np

from .bounds import MOST_ELEMENTS, MOST_STRIDE, NetworkError, flag, integer, integers, text

__all__ = [
    "IF",
    "NODE_TYPES",
    "Add",
    "Conv2d",
    "Flatten",
    "Gain",
    "Input",
    "Linear",
    "MaxPool",
    "NetworkError",
    "Node",
    "Readout",
    "Requant",
    "Rule",
    "SumPool",
]

Rule = Literal["causal", "lossless", "signed"]

IMPLICIT = {"implicit": True}
"""Marks a field that files and hashes leave out at its default, so that those from before it came stay valid."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """A node of the graph. ``source`` names the node whose result it takes (empty for :class:`Input`)."""

    name: str
    source: str = ""

    def __post_init__(self) -> None:
        text("A node", "its name", self.name)
        text(self.name, "source", self.source)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of all nodes whose results it takes."""
        return (self.source,) if self.source else ()

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in pairs)

    __hash__ = None  # type: ignore[assignment]

    def arrays(self) -> dict[str, np.ndarray]:
        """The integer arrays of the node by field name."""
        return {f.name: v for f in fields(self) if isinstance(v := getattr(self, f.name), np.ndarray)}

    def settings(self) -> dict[str, Any]:
        """The fields that are not arrays, as JSON values."""
        return {
            f.name: list(v) if isinstance(v, tuple) else v
            for f in fields(self)
            if not isinstance(v := getattr(self, f.name), np.ndarray)
            and not (f.metadata == IMPLICIT and v == f.default)
        }

    def _arrays(self, *keys: str) -> None:
        """Make integer arrays of these fields, or refuse them."""
        for key in keys:
            object.__setattr__(self, key, integers(self.name, key, getattr(self, key)))

    def _integers(self, *keys: str) -> None:
        """Make Python integers of these fields, or refuse them."""
        for key in keys:
            object.__setattr__(self, key, integer(self.name, key, getattr(self, key)))

    def _move(self) -> None:
        """Check the field ``stride``."""
        stride = getattr(self, "stride", 1)
        if stride < 1:
            self._fail(f"stride must be a positive integer, not {stride}")
        if stride > MOST_STRIDE:
            self._fail(f"stride must be at most {MOST_STRIDE:,}, not {stride:,}")

    def _fail(self, text: str) -> None:
        raise NetworkError(f"{self.name}: {text}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Input(Node):
    """Unsigned pixels p[c, y, x] in 0..``high``, presented once and constant over the time steps (direct coding)."""

    shape: tuple[int, int, int]
    high: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._integers("high")
        if not isinstance(self.shape, Sequence | np.ndarray) or isinstance(self.shape, str) or len(self.shape) != 3:
            self._fail(f"shape must be three positive integers (C, H, W), not {self.shape!r:.60}")
        object.__setattr__(self, "shape", tuple(integer(self.name, "shape", n) for n in self.shape))
        if min(self.shape) < 1:
            self._fail(f"shape must be three positive integers (C, H, W), not {self.shape}")
        if math.prod(self.shape) > MOST_ELEMENTS:
            self._fail(f"has {math.prod(self.shape):,} pixels, supported: {MOST_ELEMENTS:,}; cut the images")
        if not 1 <= self.high <= 255:
            self._fail(f"pixels are unsigned and 1 to 8 bits wide: high must be in 1..255, not {self.high}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Synapse(Node):
    """Common part of the layers with weights: integers of ``weight_bits`` (2..8) bits, two's complement."""

    weight: np.ndarray
    weight_bits: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._arrays("weight")
        self._integers("weight_bits")
        if not 2 <= self.weight_bits <= 8:
            self._fail(f"weight_bits must be in 2..8, not {self.weight_bits}")
        low, high = -(1 << (self.weight_bits - 1)), (1 << (self.weight_bits - 1)) - 1
        if not self.weight.size:
            self._fail("weight is empty")
        if self.weight.min() < low or self.weight.max() > high:
            self._fail(
                f"weights must be in {low}..{high} ({self.weight_bits} bits), "
                f"found {self.weight.min()}..{self.weight.max()}"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv2d(Synapse):
    """I[co, y, x] = sum over ci, ky, kx of weight[co, ci, ky, kx] * s[g*Ci + ci, y*stride + ky - padding, ...], every
    step, where g = co // (Co / ``groups``) is the group of the output channel.

    ``weight`` has shape (Co, Ci, Ky, Kx) with Ci input channels a group (one: depthwise); positions outside the input
    count as 0.
    """

    stride: int = 1
    padding: int = 0
    groups: int = field(default=1, metadata=IMPLICIT)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight.ndim != 4:
            self._fail(f"weight must have shape (Co, Ci, Ky, Kx), not {self.weight.shape}")
        self._integers("stride", "padding", "groups")
        self._move()
        if self.groups < 1 or len(self.weight) % self.groups:
            self._fail(f"groups must divide the {len(self.weight)} output channels, not be {self.groups}")
        if not 0 <= self.padding < min(self.weight.shape[2:]):
            self._fail(
                f"padding must be in 0..{min(self.weight.shape[2:]) - 1} (smaller than the kernel), not {self.padding}"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Linear(Synapse):
    """I[o] = sum over i of weight[o, i] * s[i], every time step. ``weight`` has shape (out, in)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight.ndim != 2:
            self._fail(f"weight must have shape (out, in), not {self.weight.shape}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Gain(Node):
    """An identity shortcut: I[c, y, x] = ``gain``[c] * s[c - offset, y*stride, x*stride], every time step; 0 where the
    source has no channel c - offset (the zero-padded shortcut of He et al., option A). ``gain`` has shape (Co,).
    """

    gain: np.ndarray
    stride: int = 1
    offset: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._arrays("gain")
        self._integers("stride", "offset")
        if self.gain.ndim != 1 or not self.gain.size:
            self._fail(f"gain must have one value a channel, not shape {self.gain.shape}")
        if np.abs(self.gain).max() >= 1 << 16:
            self._fail(f"gains must be in -65535..65535, found {self.gain.min()}..{self.gain.max()}")
        self._move()
        if self.offset < 0:
            self._fail(f"offset must not be negative, not {self.offset}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Node):
    """The residual merge: I = I(source) + I(other), currents of the same shape, every time step; currents that do not
    change over time are there in every step."""

    other: str

    def __post_init__(self) -> None:
        super().__post_init__()
        text(self.name, "other", self.other)
        if self.source == self.other:
            self._fail(f"adds {self.source} to itself; source and other must be two nodes")

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of both nodes whose currents it adds."""
        return (self.source, self.other)


@dataclass(frozen=True, kw_only=True, eq=False)
class IF(Node):
    """Integrate and fire, reset by subtraction, with v = ``v0`` at the start of every frame.

    ``rule="causal"`` (QCFS, Bu et al. 2022): for each time step t in order,
        v += I_t + bias;  s_t = [v >= threshold];  v -= s_t * threshold.
    ``rule="signed"`` (Fast-SNN, Hu et al. 2023), with N = 0 at the start: v += I_t + bias; where v >= threshold a spike
        s_t = 1; else where v < 0 and N > 0 a negative one, s_t = -1; else s_t = 0;  v -= s_t * threshold;  N += s_t.
    ``rule="lossless"``: u = v0 + sum_t (I_t + bias); the count is the largest k in 0..T with k = 0 or
        u >= k * threshold, and s_t = [t < count]: the spikes come first. It equals the quantised ANN exactly.
    ``strict`` replaces the tests ``>=`` by ``>`` (the dual-phase method). ``threshold`` > 0 and ``bias`` have shape
    (C,), ``v0`` (C,) or, for an initial membrane of every neuron, (C, H, W).
    """

    threshold: np.ndarray
    bias: np.ndarray
    v0: np.ndarray
    rule: Rule = "causal"
    strict: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._arrays("threshold", "bias", "v0")
        object.__setattr__(self, "strict", flag(self.name, "strict", self.strict))
        if not isinstance(self.rule, str) or self.rule not in ("causal", "lossless", "signed"):
            self._fail(f"rule must be 'causal', 'lossless' or 'signed', not {self.rule!r}")
        if (
            not self.threshold.shape == self.bias.shape == self.v0.shape[:1]
            or self.threshold.ndim != 1
            or self.v0.ndim not in (1, 3)
            or not self.v0.size
        ):
            self._fail(
                f"threshold, bias and v0 must have one value a channel (v0 also one a neuron, (C, H, W)), not shapes "
                f"{self.threshold.shape}, {self.bias.shape}, {self.v0.shape}"
            )
        if (bad := np.flatnonzero(self.threshold <= 0)).size:
            self._fail(
                f"threshold of channel {bad[0]} is {self.threshold[bad[0]]}; a threshold must be positive "
                f"(flip the sign of the channel's weights and bias, or retrain with a positive one)"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Requant(Node):
    """Shift-based batch norm and quantiser (IntegerNet): y[c] = clamp((a[c] - bias[c]) >> shift[c], lo, hi).

    ``>>`` is the arithmetic shift (floor); a negative shift is a shift to the left. Arrays have shape (C,).
    """

    bias: np.ndarray
    shift: np.ndarray
    lo: int
    hi: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._arrays("bias", "shift")
        self._integers("lo", "hi")
        if self.bias.shape != self.shift.shape or self.bias.ndim != 1 or not self.bias.size:
            self._fail(
                f"bias and shift must have one value a channel, not shapes {self.bias.shape}, {self.shift.shape}"
            )
        if (bad := np.flatnonzero((self.shift < -8) | (self.shift > 30))).size:
            self._fail(f"shift of channel {bad[0]} is {self.shift[bad[0]]}; supported: -8..30")
        if not (-128 <= self.lo <= 0 < self.hi <= 255 and (self.lo == 0 or self.hi <= 127)):
            self._fail(
                f"output range must be 0..hi with hi <= 255, or lo..hi within -128..127, not {self.lo}..{self.hi}"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool(Node):
    """Common part of the pools: square windows of ``kernel``, moved by ``stride``, without padding (floor size)."""

    kernel: int
    stride: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._integers("kernel", "stride")
        if self.kernel < 1 or self.stride < 1:
            self._fail(f"kernel and stride must be positive integers, not {self.kernel} and {self.stride}")
        self._move()


@dataclass(frozen=True, kw_only=True, eq=False)
class SumPool(Pool):
    """Sum over the window, every time step: average pooling with its division left to the next threshold."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Pool):
    """Values: the maximum of the window. Spikes: with N_t the running count of a neuron's spikes up to step t and
    M_t the maximum of N_t over the window, the output spikes at t when M_t > M_(t-1) (count gate, Spiking ResNet)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Flatten(Node):
    """(C, H, W) to (C*H*W, 1, 1) in the order C, H, W."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Readout(Node):
    """logits[c] = sum_t I_t[c] + bias[c]; class = argmax, the lowest index on ties.

    Where the source is constant over time (values, T = 1) the sum has one term. ``bias`` has shape (C,) and is
    added once, not every time step.
    """

    bias: np.ndarray

    def __post_init__(self) -> None:
        super().__post_init__()
        self._arrays("bias")
        if self.bias.ndim != 1 or not self.bias.size:
            self._fail(f"bias must have one value a class, not shape {self.bias.shape}")


NODE_TYPES: dict[str, type[Node]] = {
    t.__name__: t for t in (Input, Conv2d, Linear, Gain, Add, IF, Requant, SumPool, MaxPool, Flatten, Readout)
}
