"""What a conversion without training is told, and what it gives: the same for all methods that have one.

Such a method has, beside its recipe, a file ``post.py`` with a function ``convert`` (:data:`Convert`) and a line in
``CONVERSIONS`` of ``registry.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..lost import LayerLoss

if TYPE_CHECKING:
    from ..frontends.layers import Layer
    from ..ir.network import Network

__all__ = ["Conversion", "ConversionError", "Convert", "Job", "LayerLoss", "Made"]


class ConversionError(ValueError):
    """A conversion that cannot be done as it was asked for; the message names the option and the remedy."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A conversion.

    ``layers`` of the float graph; ``shape`` (C, H, W) and largest pixel ``input_high`` of the image; ``pixels``
    (N, C, H, W) to calibrate with, integers; ``mean`` and ``std`` (C,): the layers take (pixels / input_high - mean) /
    std, where the method folds that itself, else none; ``options``, those of the user that the method knows
    (:class:`Conversion`); ``meta`` of the network; ``progress``, called with the share that is done.
    """

    layers: Sequence[Layer]
    shape: tuple[int, int, int]
    input_high: int
    pixels: np.ndarray
    mean: Sequence[float] = ()
    std: Sequence[float] = ()
    options: Mapping[str, Any]
    meta: dict[str, str]
    progress: Callable[[float], None] = lambda _share: None


@dataclass(frozen=True)
class Made:
    """The ``network``, and what its ``layers`` lost, where the method itself measures that; ``notes`` for the user."""

    network: Network
    layers: tuple[LayerLoss, ...] = ()
    notes: tuple[str, ...] = ()


Convert = Callable[[Job], Made]
"""Raises ConversionError, UnsupportedLayer or NetworkError, naming the option or the layer."""


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """A method that converts: ``package`` of ``quant.methods``; ``levels``, whether it is for models whose activations
    have levels (QCFS), or for those with ReLUs; ``options`` that it knows; ``calibrated``, whether it needs images;
    ``maps``, whether it makes maps; ``folds``, whether it takes mean and std itself; ``title``, what it makes."""

    package: str
    levels: bool
    options: tuple[str, ...]
    calibrated: bool
    folds: bool
    title: str
    maps: bool = False
