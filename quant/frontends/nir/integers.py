"""The integer network of a NIR graph: its neurons step by step, its weights as they are, or rounded."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.bounds import MOST_STEPS, NetworkError
from ...ir.network import Network
from ...ir.node import Node
from ...ir.ops import IF, Conv2d, Flatten, Input, Linear, Readout, SumPool
from ..layers import UnsupportedLayer
from ..protocol import Neurons, Pixels
from .parts import Chain, Fires, Flat, Sums, Weighted, convolved, pooled
from .scales import Rounded, rounded

__all__ = ["network"]


def network(chain: Chain, pixels: Pixels, neurons: Neurons) -> Network:
    """The network of ``chain`` with the neurons as they are, for ``pixels``. Weights, thresholds, biases and initial
    membranes of a channel are divided by one number and rounded; where they are whole already, nothing is rounded.
    Raises UnsupportedLayer where nobody says how many time steps there are, and NetworkError."""
    steps = neurons.steps or chain.steps
    if steps is None:
        raise UnsupportedLayer(
            f"{chain.file}: a file without a number of time steps is not supported; supported: one that is given "
            f"(--steps), 1..{MOST_STEPS}"
        )
    for option, bits in (("weight", neurons.weight_bits), ("first", neurons.first_bits), ("last", neurons.last_bits)):
        if bits is not None and not 2 <= bits <= 8:
            raise NetworkError(f"{chain.file}: {option}_bits (--{option}-bits) must be in 2..8, not {bits}")
    high, unit = _image(chain, pixels)
    building = _Building(Input(name=chain.image, shape=chain.shape, high=high), steps, unit, neurons)
    weights = [part for part in chain.parts if isinstance(part, Weighted)]
    for part, after in zip(chain.parts, (*chain.parts[1:], None), strict=True):
        match part:
            case Weighted():
                first, last = part is weights[0], part is weights[-1]
                building.weighted(part, after if isinstance(after, Fires) else None, chain.answer, first, last)
            case Sums():
                building.add(SumPool(**building.link(part.name), **pooled(part.windows)))
            case Flat(implied=False):
                building.add(Flatten(**building.link(part.name)))
    return Network(tuple(building.nodes), steps, _meta(chain, high, unit, building.said))


def _image(chain: Chain, pixels: Pixels) -> tuple[int, float]:
    """The largest pixel, and what a pixel of 1 is worth."""
    if chain.high is not None:
        if pixels._replace(high=0) != Pixels(0) or pixels.high not in (255, chain.high):
            raise NetworkError(
                f"{chain.image}: says that it takes the integers 0..{chain.high}; leave out what pixels are "
                "(--pixel-range, --mean, --std, --input-bits)"
            )
        return chain.high, 1.0
    if pixels.black or any(pixels.mean) or len(set(pixels.std)) > 1:
        raise NetworkError(
            f"{chain.image}: currents of an image in which black is not 0, or with a std for each channel, are not "
            "supported; supported: --pixel-range 0,WHITE and one --std, a Scale in the graph, or a method (--method)"
        )
    return pixels.high, pixels.white / (pixels.std or (1.0,))[0] / pixels.high


def _meta(chain: Chain, high: int, unit: float, said: list[str]) -> dict[str, str]:
    strict = {part.strict for part in chain.parts if isinstance(part, Fires)}
    tests = " and ".join(">" if each else ">=" for each in sorted(strict))
    meta = {
        "origin": chain.file,
        "sees": f"pixels 0..{high} as 0..{high * unit:g}, the same in every time step",
        "weights": "; ".join(said) if said else "integers as they are, and so are thresholds, biases and membranes",
    }
    return meta | ({"neurons": f"reset by subtraction, a spike where v {tests} threshold"} if strict else {})


class _Building:
    """The ``nodes`` so far, T = ``steps``; ``unit``, what a 1 of the last result is worth; ``said``, how far off
    layers are that were rounded."""

    def __init__(self, image: Input, steps: int, unit: float, neurons: Neurons) -> None:
        self.nodes: list[Node] = [image]
        self.steps, self.unit, self.neurons, self.timed = steps, unit, neurons, False
        self.said = list[str]()

    def link(self, name: str) -> dict[str, Any]:
        """The fields of a node behind the last one."""
        return {"name": name, "source": self.nodes[-1].name}

    def add(self, node: Node) -> None:
        """Take in ``node``."""
        self.nodes.append(node)

    def weighted(self, part: Weighted, fires: Fires | None, answer: str, first: bool, last: bool) -> None:
        """Weights, and the neurons behind them, or the answer."""
        rows, bits = part.weight.reshape(len(part.weight), -1), self._bits(part, first, last)
        if fires is None:  # one scale for all classes; their biases are there once, for all time steps
            terms = self.steps if self.timed else 1
            found = rounded(rows.reshape(1, -1), [np.empty((1, 0)), part.bias[None] * terms / self.unit], bits)
            found = Rounded(found.weight.reshape(rows.shape), found.scale.repeat(len(rows)), found.exact)
        else:
            kept = fires.threshold[:, None], part.bias[:, None], fires.v0.reshape(len(rows), -1)
            found = rounded(rows, [each / self.unit for each in kept], bits)
        worth = found.scale * self.unit
        self._synapse(part, found, bits)
        self._say(part, rows, found, fires)
        if fires is None:
            self.add(Readout(**self.link(answer), bias=_integers(part.bias * terms / worth)))
            return
        v0 = fires.v0 / worth.reshape(-1, *(1,) * (fires.v0.ndim - 1))
        self.add(
            IF(
                **self.link(fires.name),
                threshold=_integers(fires.threshold / worth).clip(1),
                bias=_integers(part.bias / worth),
                v0=_integers(v0),
                rule="causal",
                strict=fires.strict,
            )
        )
        self.unit, self.timed = 1.0, True

    def _bits(self, part: Weighted, first: bool, last: bool) -> int:
        asked = self.neurons
        ends = asked.first_bits if first else asked.last_bits if last else None
        return part.bits or ends or asked.weight_bits

    def _synapse(self, part: Weighted, found: Rounded, bits: int) -> None:
        weight = found.weight.reshape(part.weight.shape)
        if part.bits is None:
            bits = max(2, int(weight.max(initial=0)).bit_length() + 1, int(-1 - weight.min(initial=0)).bit_length() + 1)
        fields = self.link(part.name) | {"weight": weight, "weight_bits": bits}
        kind: Any = Linear if part.windows is None else Conv2d
        self.add(kind(**fields, **convolved(part)))

    def _say(self, part: Weighted, rows: np.ndarray, found: Rounded, fires: Fires | None) -> None:
        """Note how far off a layer is that is not as it was."""
        if found.exact:
            return
        error = rows - found.weight * found.scale[:, None]
        text = f"{part.name}: {_decibels(rows, error)}"
        if fires is not None:
            real = fires.threshold / found.scale / self.unit
            if (off := float((np.abs(np.rint(real).clip(1) - real) / real).max())) > 1e-6:
                text += f", thresholds within {100 * off:.2g} %"
        self.said.append(text)


def _decibels(signal: np.ndarray, error: np.ndarray) -> str:
    noise = float((error**2).sum())
    if noise <= 1e-12 * float((signal**2).sum()):
        return "weights as they are"
    return f"weights rounded, {10 * np.log10(float((signal**2).sum()) / noise):.1f} dB signal to noise"


def _integers(x: np.ndarray) -> np.ndarray:
    return np.rint(x).astype(np.int64) if (np.abs(x) < 2.0**62).all() else x
