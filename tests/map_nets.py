"""Networks with map outputs: a backbone, and a head of classes and one of boxes at each of two strides."""

from __future__ import annotations

from typing import Any

import numpy as np
from pixel_nets import C, Nets

from spikeloom.gen.design import Design
from spikeloom.gen.folding.fold import Fold
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import MapReadout

HEADS = ("cls8", "box8", "cls16", "box16")

FOLDS = {
    "one": Fold(2, 1, 1),
    "two": Fold(2, 4, 1),
    "cls8 conv": Fold(1, 4, 1),
    "box8 conv": Fold(2, 12, 1),
    "cls16 conv": Fold(2, 1, 1),
    "box16 conv": Fold(4, 4, 1),
}


class MapNets(Nets):
    """Makes nodes with random constants, heads too."""

    def head(self, name: str, channels: int, source: str, kernel: int = 3, **geometry: Any) -> None:
        """A convolution of a result of C channels, and the map of its sums."""
        self.conv(f"{name} conv", channels, kernel, source, **geometry)
        self.nodes.append(MapReadout(name=name, source=self.end, bias=self.rng.integers(-9, 10, channels)))


def network(quantised: bool, seed: int = 3, shape: tuple[int, int, int] = (1, 6, 6)) -> Network:
    """Two strides, four heads; quantised, or lossless spikes of three time steps."""
    nets = MapNets(shape, 1 if quantised else 3, seed)
    answer = nets.quantise if quantised else nets.fire
    nets.conv("one", C)
    answer()
    first = nets.end
    nets.conv("two", C, stride=2)
    answer()
    second = nets.end
    nets.head("cls8", 2, first)
    nets.head("box8", 4, first)
    nets.head("cls16", 2, second, 1)
    nets.head("box16", 4, second)
    return nets.done()


MIXED = {"one": Fold(4, 1, 1), "near conv": Fold(3, 4, 1), "far conv": Fold(1, 2, 1), "last": Fold(1, 4, 1)}


def mixed(classes: bool = True, size: int = 4) -> Design:
    """Of ``size`` x ``size`` pixels a map of three numbers of 8 bits a word, one of a number of 16 bits at stride 2,
    and three classes."""
    nets = MapNets((1, size, size), 1, 5)
    nets.conv("one", C)
    nets.quantise()
    first = nets.end
    nets.head("near", 3, first, 1, bits=2)
    nets.head("far", 2, first, stride=2)
    if classes:
        nets.answer(source=first)
    folds = MIXED if classes else {name: fold for name, fold in MIXED.items() if name != "last"}
    return Design(nets.done(), folds)


def design(quantised: bool, **folds: Fold) -> Design:
    """The network with folds of several kinds."""
    return Design(network(quantised), FOLDS | folds)


def frames(found: Network, count: int, seed: int = 2) -> np.ndarray:
    """Random frames (count, C, H, W)."""
    return np.random.default_rng(seed).integers(0, found.input.high + 1, (count, *found.input.shape))
