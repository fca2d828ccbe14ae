"""The layers of a float graph, what every front end makes of a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from torch import Tensor

from .activations import QCFS

__all__ = [
    "CURRENTS",
    "IMAGE",
    "Activation",
    "Flat",
    "Layer",
    "Pool",
    "Shortcut",
    "Sum",
    "UnsupportedLayer",
    "Weights",
    "refuse",
]

IMAGE = ""
"""The image, where the name of a source is asked for."""


class UnsupportedLayer(ValueError):
    """A part of a model without an integer counterpart; the message names module, rule and what is supported."""


def refuse(name: str, what: str, instead: str) -> NoReturn:
    """Raise UnsupportedLayer."""
    raise UnsupportedLayer(f"{name}: {what} is not supported; supported: {instead}")


@dataclass(frozen=True)
class Layer:
    """A layer of the graph; ``name`` is the path of the module it came from, ``sources`` are the layers it takes the
    results of, :data:`IMAGE` for the image; ``repeats``, the layer that it computes once more
    (``quant.frontends.repeat``)."""

    name: str
    sources: tuple[str, ...]
    repeats: str = field(default="", kw_only=True)

    @property
    def origin(self) -> str:
        """The name of the layer as the model has it."""
        return self.repeats or self.name


@dataclass(frozen=True)
class Weights(Layer):
    """A convolution or linear layer, batch norm folded in.

    ``weight`` (Co, Ci / groups, Ky, Kx) or (out, in) and ``bias`` (Co,), detached copies in the type of the model;
    ``stride``, ``padding`` and ``groups`` of a convolution.
    """

    weight: Tensor
    bias: Tensor
    stride: int = 1
    padding: int = 0
    groups: int = 1


@dataclass(frozen=True)
class Shortcut(Layer):
    """x[:, :, ::stride, ::stride] with ``before`` and ``after`` channels of zeros around its own."""

    stride: int
    before: int
    after: int


@dataclass(frozen=True)
class Sum(Layer):
    """The sum of two branches, each a :class:`Weights`, a :class:`Shortcut` or another sum."""


@dataclass(frozen=True)
class Activation(Layer):
    """A ReLU (``qcfs`` is None) or the QCFS module itself."""

    qcfs: QCFS | None


@dataclass(frozen=True)
class Pool(Layer):
    """Pooling over ``kernel`` x ``kernel`` windows (0: the whole map); ``kind`` is "average" or "max".

    ``divisor`` is what the sum of a window is divided by where that is not its area, else 0.
    """

    kind: str
    kernel: int
    stride: int
    divisor: int = 0

    @property
    def parts(self) -> int:
        """How many values of the pool are worth one that it takes."""
        return 1 if self.kind == "max" else self.divisor or self.kernel**2


@dataclass(frozen=True)
class Flat(Layer):
    """(N, C, H, W) to (N, C*H*W)."""


CURRENTS = Weights | Shortcut | Sum
"""What gives currents: results before their activation."""
