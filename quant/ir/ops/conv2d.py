"""The convolution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..node import IMPLICIT
from ..signal import Signal
from ..windows import Windows
from .synapse import Synapse, product

__all__ = ["Conv2d"]


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
        self._check_stride()
        if self.groups < 1 or len(self.weight) % self.groups:
            self._fail(f"groups must divide the {len(self.weight)} output channels, not be {self.groups}")
        if not 0 <= self.padding < min(self.weight.shape[2:]):
            self._fail(
                f"padding must be in 0..{min(self.weight.shape[2:]) - 1} (smaller than the kernel), not {self.padding}"
            )

    @property
    def windows(self) -> Windows:
        """The windows that its kernels see."""
        ky, kx = self.weight.shape[2:]
        return Windows((ky, kx), self.stride, self.padding)

    def _check_inputs(self, source: Signal) -> None:
        if self.weight.shape[1] * self.groups != source.shape[0]:
            of_groups = f" in {self.groups} groups" if self.groups > 1 else ""
            self._fail(
                f"its kernels have {self.weight.shape[1]} channels{of_groups}, but {self.source} gives "
                f"{source.shape[0]}"
            )
        self.windows.check(self.name, source.shape[1:])

    def reference_step(self, x: np.ndarray) -> np.ndarray:
        """Windows as rows of a matrix, times the weights, group by group."""
        outputs, inputs, *kernel = self.weight.shape
        padded = np.pad(x, ((0, 0), (0, 0), (self.padding, self.padding), (self.padding, self.padding)))
        windows = sliding_window_view(padded, kernel, (2, 3))[:, :, :: self.stride, :: self.stride]
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
        """(Co, Ci, Ky, Kx), of kernels that fit into the padded map."""
        c, h, w = source
        groups, room = entry.get("groups", 1), 2 * max(0, entry.get("padding", 0))
        fits = len(shape) == 4 and shape[1] * groups == c and shape[2] <= h + room and shape[3] <= w + room
        return fits, f"(Co, {c} / {groups}, at most {h + room}, at most {w + room})"
