"""The convolution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..bases.synapse import Synapse, product
from ..node import IMPLICIT
from ..signal import Signal
from ..windows import Pair, Sides, Windows, each_side, each_way

__all__ = ["Conv2d"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv2d(Synapse):
    """I[co, y, x] = sum over ci, ky, kx of weight[co, ci, ky, kx] * s[g*Ci + ci, y*sy + ky*dy - top, x*sx + ...],
    every step, where g = co // (Co / ``groups``) is the group of the output channel.

    ``weight`` has shape (Co, Ci, Ky, Kx) with Ci input channels a group (one: depthwise). Positions outside the input
    count as ``pad``, a value for each of the groups * Ci input channels that the input can have; without it as 0. Only
    what does not change over time has one, and zeros are kept as None. ``stride`` (sy, sx) and ``dilation`` (dy, dx)
    may differ in the two directions, ``padding`` (top, bottom, left, right) at the sides; each is one number where all
    of its are alike.
    """

    stride: Pair = 1
    padding: Sides = 0
    groups: int = field(default=1, metadata=IMPLICIT)
    dilation: Pair = field(default=1, metadata=IMPLICIT)
    pad: np.ndarray | None = field(default=None, metadata=IMPLICIT)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight.ndim != 4:
            self._fail(f"weight must have shape (Co, Ci, Ky, Kx), not {self.weight.shape}")
        self._integers("groups")
        self._pairs("stride", "dilation")
        self._sides("padding")
        self._check_steps("stride")
        self._check_steps("dilation")
        if self.groups < 1 or len(self.weight) % self.groups:
            self._fail(f"groups must divide the {len(self.weight)} output channels, not be {self.groups}")
        self._check_padding(self.windows)
        if self.pad is not None:
            self._check_pad()

    def _check_pad(self) -> None:
        """Refuse a ``pad`` that no input could have; keep zeros as None."""
        self._arrays("pad")
        pad, channels = self.pad, self.weight.shape[1] * self.groups
        assert pad is not None
        if pad.shape != (channels,):
            self._fail(f"pad must have a value for each of the {channels} input channels, not shape {pad.shape}")
        if not pad.any():
            object.__setattr__(self, "pad", None)
        elif not self.windows.padded:
            self._fail("has pad, but padding = 0, so that nothing would stand around the map; leave one of them out")

    @property
    def around(self) -> np.ndarray | None:
        """The values of ``pad``."""
        return self.pad

    @property
    def windows(self) -> Windows:
        """The windows that its kernels see."""
        ky, kx = self.weight.shape[2:]
        return Windows((ky, kx), each_way(self.stride), each_side(self.padding), each_way(self.dilation))

    def _check_inputs(self, source: Signal) -> None:
        if self.weight.shape[1] * self.groups != source.shape[0]:
            of_groups = f" in {self.groups} groups" if self.groups > 1 else ""
            self._fail(
                f"its kernels have {self.weight.shape[1]} channels{of_groups}, but {self.source} gives "
                f"{source.shape[0]}"
            )
        self.windows.check(self.name, source.shape)
        if self.pad is None:
            return
        if source.kind == "spikes":
            self._fail(
                f"has pad, what stands around values, but {self.source} gives spikes, around which there are none; "
                "leave pad out"
            )
        if self.pad.min() < source.low or self.pad.max() > source.high:
            self._fail(
                f"pad must be in {source.low}..{source.high}, the range of {self.source}, found "
                f"{self.pad.min()}..{self.pad.max()}; clip it"
            )

    def reference_step(self, x: np.ndarray) -> np.ndarray:
        """Windows as rows of a matrix, times the weights, group by group."""
        outputs, inputs = self.weight.shape[:2]
        windows = self.windows.views(x, self.pad)
        n, _, height, width = windows.shape[:4]
        found, per_group = [], outputs // self.groups
        for g in range(self.groups):
            rows = windows[:, g * inputs : (g + 1) * inputs].transpose(0, 2, 3, 1, 4, 5).reshape(n * height * width, -1)
            weight = self.weight[g * per_group : (g + 1) * per_group].reshape(per_group, -1)
            found.append(product(rows, weight).reshape(n, height, width, per_group))
        return np.concatenate(found, -1).transpose(0, 3, 1, 2)

    @classmethod
    def array_shape(
        cls, field: str, shape: tuple[int, ...], entry: Mapping[str, Any], source: tuple[int, int, int]
    ) -> tuple[bool, str]:
        """(Co, Ci, Ky, Kx), of kernels that fit into the padded map; (C,) of what stands around it."""
        c, groups = source[0], entry.get("groups", 1)
        if field == "pad":
            return shape == (c,), f"({c},)"
        room = zip(source[1:], each_side(entry.get("padding", 0)), each_way(entry.get("dilation", 1)), strict=True)
        rows, columns = ((n + sum(max(0, side) for side in sides) - 1) // max(1, apart) + 1 for n, sides, apart in room)
        fits = len(shape) == 4 and shape[1] * groups == c and shape[2] <= rows and shape[3] <= columns
        return fits, f"(Co, {c} / {groups}, at most {rows}, at most {columns})"
