"""How long the tools take for large networks: ``python -m benchmarks.scale``.

Prints CPU-seconds of the search, the cycle law and the Verilog of a VGG-16 and a ResNet-18 for 32 x 32 pixels, 4-bit
weights drawn at random and T = 3, and of what refuses them for a device. ``--network FILE --fold FILE`` adds a network
with folds that are given, such as the face detector (``docs/face_detector.md``). No test asks how long they are.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer
from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.find import search
from spikeloom.gen.folding.fold import read_folds
from spikeloom.quant.ir import netfile
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import (
    IF,
    Add,
    Conv2d,
    Flatten,
    Gain,
    Input,
    Linear,
    MaxPool,
    Node,
    Readout,
    SumPool,
)

DEVICE = "ecp5-85k"
"""The device for which weights that fit none are refused."""


class Layers:
    """The nodes of a network for 32 x 32 pixels, weights drawn at random."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(1)
        self.nodes: list[Node] = [Input(name="input", shape=(3, 32, 32), high=255)]

    def conv(self, name: str, source: str, outputs: int, inputs: int, kernel: int = 3, stride: int = 1) -> str:
        """A convolution that keeps the size, or halves it with ``stride`` 2."""
        weight = self._rng.integers(-7, 8, (outputs, inputs, kernel, kernel))
        return self._add(Conv2d(name=name, source=source, weight=weight, weight_bits=4, stride=stride,
                                padding=kernel // 2))  # fmt: skip

    def fire(self, name: str, source: str, channels: int) -> str:
        """Lossless neurons."""
        threshold = self._rng.integers(200, 400, channels)
        bias = self._rng.integers(-9, 10, channels)
        return self._add(IF(name=name, source=source, threshold=threshold, bias=bias, v0=threshold // 2,
                            rule="lossless"))  # fmt: skip

    def block(self, name: str, source: str, outputs: int, inputs: int, stride: int) -> str:
        """Two convolutions and a shortcut."""
        first = self.fire(f"{name}.act1", self.conv(f"{name}.conv1", source, outputs, inputs, 3, stride), outputs)
        main = self.conv(f"{name}.conv2", first, outputs, outputs)
        if stride > 1:
            other = self.conv(f"{name}.shortcut", source, outputs, inputs, 1, stride)
        else:
            gain = self._rng.integers(5, 30, outputs)
            other = self._add(Gain(name=f"{name}.shortcut", source=source, gain=gain))
        return self.fire(f"{name}.act2", self._add(Add(name=f"{name}.add", source=main, other=other)), outputs)

    def pool(self, kind: type[MaxPool | SumPool], name: str, source: str, size: int) -> str:
        """A pool without overlap."""
        return self._add(kind(name=name, source=source, kernel=size, stride=size))

    def ended(self, source: str, channels: int) -> Network:
        """With ten classes."""
        self._add(Flatten(name="flat", source=source))
        weight = self._rng.integers(-7, 8, (10, channels))
        self._add(Linear(name="classes", source="flat", weight=weight, weight_bits=4))
        self._add(Readout(name="readout", source="classes", bias=np.zeros(10, np.int64)))
        return Network(tuple(self.nodes), steps=3)

    def _add(self, node: Node) -> str:
        self.nodes.append(node)
        return node.name


def vgg16() -> Network:
    """15 million weights."""
    made, source, inputs = Layers(), "input", 3
    for k, (count, outputs) in enumerate([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)], 1):
        for n in range(count):
            currents = made.conv(f"conv{k}.{n}", source, outputs, inputs)
            source, inputs = made.fire(f"act{k}.{n}", currents, outputs), outputs
        source = made.pool(MaxPool, f"pool{k}", source, 2)
    return made.ended(source, inputs)


def resnet18() -> Network:
    """11 million weights."""
    made = Layers()
    source, inputs = made.fire("act1", made.conv("conv1", "input", 64, 3), 64), 64
    for k, outputs in enumerate((64, 128, 256, 512), 1):
        for n in range(2):
            source, inputs = made.block(f"layer{k}.{n}", source, outputs, inputs, 1 + (n == 0 and k > 1)), outputs
    return made.ended(made.pool(SumPool, "pool", source, 4), inputs)


def timed(what: Callable[[], Any]) -> tuple[float, Any]:
    """CPU-seconds, and what ``what`` gives."""
    start = time.process_time()
    found = what()
    return time.process_time() - start, found


def refused(network: Network) -> str:
    """What is said of ``network`` for :data:`DEVICE`."""
    try:
        search(network, device=DEVICE)
    except PlanError as error:
        return str(error)
    return "fits"


def stages_of(design: Design) -> Iterator[tuple[str, float]]:
    """What follows a search, and how long it takes."""
    yield "cycle law", timed(lambda: design.free_run)[0]
    yield "FIFOs", timed(lambda: design.stages)[0]
    seconds, text = timed(lambda: writer.verilog(design))
    yield f"Verilog of {len(text) / 1e6:,.1f} MB", seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--cycles", type=int, default=1_000_000, metavar="N", help="target of the searches (1000000)")
    parser.add_argument("--network", type=Path, metavar="FILE", help="a network file too")
    parser.add_argument("--fold", type=Path, metavar="FILE", help="its folds")
    parser.add_argument("--only", choices=["vgg16", "resnet18", "network"], help="one of the networks")
    options = parser.parse_args()
    made = {"vgg16": vgg16, "resnet18": resnet18}
    for name, build in made.items():
        if options.only in (None, name):
            network = build()
            seconds, text = timed(lambda network=network: refused(network))
            print(f"{name}: {seconds:.1f} s for {DEVICE}: {text}", flush=True)
            seconds, found = timed(lambda network=network: search(network, options.cycles))
            print(f"{name}: {seconds:.1f} s search, the cycle law of its designs included", flush=True)
            for what, seconds in stages_of(Design(network, found.folds)):
                print(f"{name}: {seconds:.1f} s {what}", flush=True)
    if options.network and options.fold and options.only in (None, "network"):
        loading, design = timed(lambda: Design(netfile.load(options.network), read_folds(options.fold)))
        for what, seconds in [("network and stages", loading), *stages_of(design)]:
            print(f"{options.network.stem}: {seconds:.1f} s {what}", flush=True)


if __name__ == "__main__":
    main()
