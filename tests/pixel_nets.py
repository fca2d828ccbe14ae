"""Networks for folds of several pixels, made node by node with random constants."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeloom.gen.folding.fold import Fold
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Conv2d, Flatten, Input, Linear, Node, Readout, Requant
from spikeloom.quant.ir.ops.staircase import Staircase

C = 4
LAST = Fold(1, 1, 1)


class Nets:
    """Makes nodes with random constants."""

    def __init__(self, shape: tuple[int, int, int], steps: int, seed: int = 3) -> None:
        self.rng, self.steps = np.random.default_rng(seed), steps
        self.nodes: list[Node] = [Input(name="input", shape=shape, high=15)]

    @property
    def end(self) -> str:
        return self.nodes[-1].name

    @property
    def shape(self) -> tuple[int, ...]:
        signals: dict[str, Any] = {}
        for node in self.nodes:
            signals[node.name] = node.signal([signals[name] for name in node.sources], self.steps)
        return signals[self.end].shape

    def conv(self, name: str, co: int = C, kernel: Any = 3, source: str = "", bits: int = 4, **geometry: Any) -> None:
        source, ci = source or self.end, C if source else self.shape[0]
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        top = (1 << (bits - 1)) - 1
        weight = self.rng.integers(-top, top + 1, (co, ci // geometry.get("groups", 1), *kernel))
        weight = self.rng.choice([-1, 1], weight.shape) if bits == 1 else weight
        geometry = {"padding": kernel[0] // 2} | geometry
        self.nodes.append(Conv2d(name=name, source=source, weight=weight, weight_bits=bits, **geometry))

    def fire(self, level: int = 30, rule: Any = "lossless", each: bool = False, **more: Any) -> None:
        c, name, rng = self.shape[0], f"{self.end}_if", self.rng
        threshold = rng.integers(level, 2 * level, c)
        v0 = rng.integers(-level, level, self.shape) if each else threshold // 2
        constants = {"threshold": threshold, "bias": rng.integers(-5, 6, c), "v0": v0} | more
        self.nodes.append(IF(name=name, source=self.end, **constants, rule=rule))

    def quantise(self) -> None:
        c, name = self.shape[0], f"{self.end}_q"
        bias, shift = self.rng.integers(-20, 20, c), self.rng.integers(2, 5, c)
        self.nodes.append(Requant(name=name, source=self.end, bias=bias, shift=shift, lo=0, hi=15))

    def stairs(self, count: int, values: bool = False) -> None:
        c, name = self.shape[0], f"{self.end}_q"
        rows = self.rng.integers(-9, 10, (c, count + 1)) if values else None
        threshold = np.sort(self.rng.integers(-300, 301, (c, count)))
        self.nodes.append(Staircase(name=name, source=self.end, threshold=threshold, low=0, values=rows))

    def answer(self, name: str = "last", source: str = "") -> None:
        if source:
            self.nodes.append(Flatten(name=f"{name}_flat", source=source))
        else:
            self.nodes.append(Flatten(name=f"{name}_flat", source=self.end))
        n = int(np.prod(self.shape))
        weight = self.rng.integers(-7, 8, (3, n))
        self.nodes.append(Linear(name=name, source=self.end, weight=weight, weight_bits=4))
        self.nodes.append(Readout(name=f"{name}_out", source=name, bias=self.rng.integers(-9, 10, 3)))

    def done(self) -> Network:
        return Network(tuple(self.nodes), self.steps)
