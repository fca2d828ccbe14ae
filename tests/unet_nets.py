"""A small U-Net with random constants: an encoder of three levels, a decoder with the results of the encoder beside."""

from __future__ import annotations

import numpy as np
from map_nets import MapNets

from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import Add, Conv2d, MapReadout, MaxPool
from spikeloom.quant.ir.ops.upsample import Upsample


class UNets(MapNets):
    """Makes nodes with random constants, both ends of a skip too."""

    def down(self, name: str, channels: int) -> str:
        """A convolution, a quantiser or neurons, and a pool; the name of what the decoder takes."""
        self.layer(name, channels, self.end)
        kept = self.end
        self.nodes.append(MaxPool(name=f"{name}_pool", source=kept, kernel=2, stride=2))
        return kept

    def up(self, name: str, channels: int, kept: str) -> None:
        """An upsampling, and a convolution of it and of what the encoder ``kept``, as one of both side by side."""
        self.nodes.append(Upsample(name=f"{name}_up", source=self.end, factor=2))
        self.synapse(name, channels, self.end)
        self.synapse(f"{name}_skip", channels, kept)
        self.nodes.append(Add(name=f"{name}_add", source=name, other=f"{name}_skip"))
        self.answered()

    def layer(self, name: str, channels: int, source: str) -> None:
        self.synapse(name, channels, source)
        self.answered()

    def synapse(self, name: str, channels: int, source: str) -> None:
        signals = {}
        for node in self.nodes:
            signals[node.name] = node.signal([signals[before] for before in node.sources], self.steps)
        weight = self.rng.integers(-3, 4, (channels, signals[source].shape[0], 3, 3))
        self.nodes.append(Conv2d(name=name, source=source, weight=weight, weight_bits=3, padding=1))

    def answered(self) -> None:
        self.quantise() if self.steps == 1 else self.fire()


def network(steps: int = 1, shape: tuple[int, int, int] = (1, 8, 8), width: int = 2) -> Network:
    """Two skips, one inside the other; quantised, or lossless spikes of several ``steps``; a map of three classes."""
    nets = UNets(shape, steps, 5)
    one = nets.down("enc1", width)
    two = nets.down("enc2", 2 * width)
    nets.layer("middle", 2 * width, nets.end)
    nets.up("dec2", width, two)
    nets.up("dec1", width, one)
    weight = nets.rng.integers(-3, 4, (3, width, 1, 1))
    nets.nodes.append(Conv2d(name="head conv", source=nets.end, weight=weight, weight_bits=3))
    nets.nodes.append(MapReadout(name="head", source=nets.end, bias=nets.rng.integers(-9, 10, 3)))
    return nets.done()


def frames(found: Network, count: int, seed: int = 2) -> np.ndarray:
    """Random frames (count, C, H, W)."""
    return np.random.default_rng(seed).integers(0, found.input.high + 1, (count, *found.input.shape))
