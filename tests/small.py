"""A network of two linear layers, small enough for many builds, and its design."""

from __future__ import annotations

import numpy as np

from spikeloom.gen.design import Design
from spikeloom.gen.folding.fold import Fold
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Flatten, Input, Linear, Readout

FOLDS = {"hidden": Fold(2, 1, 1), "last": Fold(1, 2, 1)}


def network(seed: int = 1) -> Network:
    """Four pixels of two bits, four spiking neurons, three classes."""
    rng = np.random.default_rng(seed)
    return Network(
        (
            Input(name="input", shape=(1, 2, 2), high=3),
            Flatten(name="flat", source="input"),
            Linear(name="hidden", source="flat", weight=rng.integers(-3, 4, (4, 4)), weight_bits=3),
            IF(
                name="if1",
                source="hidden",
                threshold=rng.integers(2, 6, 4),
                bias=rng.integers(-1, 3, 4),
                v0=rng.integers(0, 3, 4),
            ),
            Linear(name="last", source="if1", weight=rng.integers(-3, 4, (3, 4)), weight_bits=3),
            Readout(name="out", source="last", bias=rng.integers(-2, 3, 3)),
        ),
        steps=2,
    )


def design(seed: int = 1) -> Design:
    """The network with slow folds."""
    return Design(network(seed), FOLDS)


def frames(count: int, high: int = 3) -> np.ndarray:
    """Random frames (count, 1, 2, 2) with pixels 0..high."""
    return np.random.default_rng(2).integers(0, high + 1, (count, 1, 2, 2))
