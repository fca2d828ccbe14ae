"""Training with integers in the loop: a graph of layers that computes, going forward, what the integer network will.

Weights, gains, thresholds and biases are floats that are rounded on the way; activations are spike counts (rule
``lossless``) or spike trains (rules ``causal`` and ``signed``) instead of reals. In evaluation the answer is that of
the integer network to the last bit; in training the gradient is that of the QCFS activation, straight through every
rounding and, for spike trains, through the order of the spikes (the activation's value is the spiking neuron's, its
gradient the quantised one's), or, where a graph is told so, that of the membrane over time (``quant.firing``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .firing import counts, trains
from .graph import trace
from .layers import IMAGE, Activation, Flat, Layer, Pool, Shortcut, UnsupportedLayer, Weights
from .nodes import NetworkError, Rule
from .rounding import LayerIntegers, readout_integers
from .stage import Stage, Synapses
from .structure import terms_of

__all__ = ["IntegerGraph", "Scales", "sources_of"]


class Scales(NamedTuple):
    """Of the image and of each layer, by name: what a value of 1 is worth (``units``), the largest value of a time
    step (``highs``), and whether it differs from time step to time step (``timed``)."""

    units: dict[str, Tensor]
    highs: dict[str, int]
    timed: dict[str, bool]


class IntegerGraph(nn.Module):
    """A model whose forward is the integer network.

    Parameters: ``model``, an nn.Module with QCFS activations, or the layers of one (``graph.trace``), copied;
    ``input_high``, the largest pixel, which stands for 1.0; ``steps``, T; ``weight_bits``, 2..8, with ``first_bits``
    and ``last_bits`` for the first and last layer and ``shortcut_bits`` for projections, which must come in the unit
    of the layer they are added to; ``rule``, "lossless", "causal" or "signed"; ``strict``, whether neurons fire at
    ``>`` instead of ``>=``; ``shape``, (C, H, W) of the image, where a pool covers the whole map.
    Attribute ``through_time``: whether the gradient of spike trains is that of the membrane (``quant.firing``).
    Forward: pixels as integers 0..input_high (N, C, H, W) to logits (N, classes), scaled to those of the float model.
    Raises UnsupportedLayer for a ReLU left in, NetworkError for NaN or bit widths out of range, naming the layer.
    """

    def __init__(
        self,
        model: nn.Module | Sequence[Layer],
        *,
        input_high: int,
        steps: int,
        weight_bits: int,
        first_bits: int | None = None,
        last_bits: int | None = None,
        shortcut_bits: int = 8,
        rule: Rule = "lossless",
        strict: bool = False,
        shape: tuple[int, int, int] | None = None,
    ) -> None:
        super().__init__()
        if rule not in ("causal", "lossless", "signed"):
            raise NetworkError(f"rule must be 'causal', 'lossless' or 'signed', not {rule!r}")
        if not 1 <= input_high <= 255 or not 1 <= steps <= 64:
            raise NetworkError(f"input_high must be in 1..255 and steps in 1..64, not {input_high} and {steps}")
        layers = trace(model, shape) if isinstance(model, nn.Module) else list(model)
        self.input_high, self.steps = input_high, steps
        self.rule: Rule = rule
        self.strict, self.through_time = strict, False
        self.stages = nn.ModuleList()
        self.order: list[Stage | Pool | Flat] = []
        kinds = {layer.name: layer for layer in layers}
        first = next((layer.name for layer in layers if isinstance(layer, Weights)), "")

        def bits(layer: Weights, main: bool) -> int:
            last = last_bits if layer is layers[-1] else None
            return last or (first_bits if layer.name == first else None) or (weight_bits if main else shortcut_bits)

        for layer in layers:
            if isinstance(layer, Activation) or layer is layers[-1]:
                currents = layer.sources[0] if isinstance(layer, Activation) else layer.name
                synapses, shortcuts, sums = terms_of(currents, kinds)
                if not synapses:
                    raise UnsupportedLayer(
                        f"{layer.name}: a sum of shortcuts alone is not supported; supported: a "
                        f"convolution or linear layer in every sum"
                    )
                wide = [(s, bits(s, s is synapses[0])) for s in synapses]
                stage = Stage(layer.name, wide, shortcuts, sums, layer if isinstance(layer, Activation) else None)
                self.stages.append(stage)
                self.order.append(stage)
            elif isinstance(layer, Pool | Flat):
                self.order.append(layer)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels as integers (N, C, H, W) to logits (N, classes); see the class."""
        found, scales = {IMAGE: pixels.float()}, self.scales()
        last_use = {source: layer for layer in self.order for source in sources_of(layer)}
        for layer in self.order:
            found[layer.name] = self.step(layer, found, scales)
            for name in sources_of(layer):
                if last_use[name] is layer:
                    found.pop(name, None)  # spike trains are large
        return found[self.order[-1].name]

    def step(self, layer: Stage | Pool | Flat, found: Mapping[str, Tensor], scales: Scales) -> Tensor:
        """The result of ``layer`` from ``found``, those of the layers before it: pixels or counts (N, ...), spike
        trains (N, T, ...), logits (N, classes)."""
        timed = scales.timed
        match layer:
            case Flat():
                source = layer.sources[0]
                return found[source].flatten(2 if self._trains(timed[source]) else 1)
            case Pool():
                source = layer.sources[0]
                return self._pool(layer, found[source], timed[source])
        if layer.log_threshold is not None:
            integers = self._exact(layer, layer.integers(scales.units, scales.highs, self.steps), scales.highs)
            total = self._total(layer, integers, found, timed)
            return self._fire(layer, *total, integers).to(torch.float32)
        w, bias, value = self.readout(scales.units)
        none = torch.zeros_like(bias)
        integers = self._exact(layer, LayerIntegers([w], [], none, bias), scales.highs)
        source = layer.parts[0].source
        x = self._current(layer.parts[0], found[source], integers.weights[0], timed[source])
        x = (x.sum(1) if self._trains(timed[source]) else x) + integers.bias
        return x * value if self.training else x.double() * value

    def scales(self) -> Scales:
        """What :meth:`step` needs to know of all layers."""
        return Scales(self.units(), self.highs(), self.timed())

    def _exact(self, stage: Stage, integers: LayerIntegers, highs: Mapping[str, int]) -> LayerIntegers:
        """The integers in float64 where, in evaluation, the sums of float32 might round; as they are otherwise."""
        if self.training:
            return integers
        with torch.no_grad():
            most = integers.threshold + 2 * self.steps * integers.bias.abs()
            if stage.charge is not None:
                most = most * (1 + 2 * stage.charge.abs().max())
            for part, w in zip(stage.parts, integers.weights, strict=True):
                most = most + 2 * self.steps * highs[part.source] * w.flatten(1).abs().sum(1)
            for shortcut, gain in zip(stage.shortcuts, integers.gains, strict=True):
                most = most + 2 * self.steps * highs[shortcut.sources[0]] * gain.abs()
        if most.max() < 1 << 24:
            return integers
        weights, gains = ([t.double() for t in tensors] for tensors in integers[:2])
        return LayerIntegers(weights, gains, integers.threshold.double(), integers.bias.double())

    def units(self) -> dict[str, Tensor]:
        """What a value of 1 of the image and of each layer of ``order`` is worth in the float model."""
        units = {IMAGE: torch.tensor(1.0 / self.input_high, device=next(self.parameters()).device)}
        for layer in self.order:
            if isinstance(layer, Stage):
                if layer.log_threshold is not None:
                    units[layer.name] = layer.threshold
            else:
                area = layer.kernel**2 if isinstance(layer, Pool) and layer.kind == "average" else 1
                units[layer.name] = units[layer.sources[0]] / area if area > 1 else units[layer.sources[0]]
        return units

    def highs(self) -> dict[str, int]:
        """The largest value of the image and of each layer of ``order``, in one time step."""
        highs = {IMAGE: self.input_high}
        for layer in self.order:
            if isinstance(layer, Stage):
                highs[layer.name] = 1
            else:
                area = layer.kernel**2 if isinstance(layer, Pool) and layer.kind == "average" else 1
                highs[layer.name] = highs[layer.sources[0]] * area
        return highs

    def timed(self) -> dict[str, bool]:
        """Whether the image and each layer of ``order`` differ from time step to time step."""
        timed = {IMAGE: False}
        for layer in self.order:
            timed[layer.name] = isinstance(layer, Stage) or timed[layer.sources[0]]
        return timed

    def readout(self, units: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Integers (weight, bias) of the last layer and what a logit of 1 is worth."""
        last = self.order[-1]
        assert isinstance(last, Stage)
        part = last.parts[0]
        terms = self.steps if self.timed()[part.source] else 1
        return readout_integers(part.weight, last.bias, units[part.source], part.bits, terms)

    def _trains(self, timed: bool) -> bool:
        """Whether activations are spike trains (N, T, ...), and not pixels or counts (N, ...)."""
        return timed and self.rule != "lossless"

    def _total(
        self, stage: Stage, integers: LayerIntegers, found: Mapping[str, Tensor], timed: Mapping[str, bool]
    ) -> tuple[Tensor, bool]:
        """The currents of a stage, without bias, and whether they are timed: counts are those of all steps together."""
        currents = [
            (self._current(part, found[part.source], weight, timed[part.source]), timed[part.source])
            for part, weight in zip(stage.parts, integers.weights, strict=True)
        ]
        for shortcut, gain in zip(stage.shortcuts, integers.gains, strict=True):
            source = shortcut.sources[0]
            currents.append((_shortcut(shortcut, found[source], gain, self._trains(timed[source])), timed[source]))
        if not any(over_time for _, over_time in currents):
            return torch.stack([current for current, _ in currents]).sum(0), False
        total: Tensor | None = None
        for current, over_time in currents:
            if not over_time:
                current = current * self.steps if self.rule == "lossless" else current[:, None]
            total = current if total is None else total + current
        assert total is not None
        return total, True

    def _current(self, part: Synapses, x: Tensor, weight: Tensor, timed: bool) -> Tensor:
        x = x.to(weight.dtype)
        if not self._trains(timed):
            return part.current(x, weight)
        return part.current(x.flatten(0, 1), weight).unflatten(0, x.shape[:2])

    def _pool(self, pool: Pool, x: Tensor, timed: bool) -> Tensor:
        trains = self._trains(timed)
        if pool.kind == "average":
            flat = x.flatten(0, 1) if trains else x
            flat = F.avg_pool2d(flat, pool.kernel, pool.stride, divisor_override=1)
            return flat.unflatten(0, x.shape[:2]) if trains else flat
        if not trains:
            return F.max_pool2d(x, pool.kernel, pool.stride)
        # The count gate: a spike leaves when the largest running count of the window grows.
        most = F.max_pool2d(x.cumsum(1).flatten(0, 1), pool.kernel, pool.stride).unflatten(0, x.shape[:2])
        return torch.cat((most[:, :1], most[:, 1:] - most[:, :-1]), 1)

    def _fire(self, stage: Stage, current: Tensor, timed: bool, integers: LayerIntegers) -> Tensor:
        over_time = self._trains(timed)
        channel = (-1, *[1] * (current.ndim - 2 - over_time))
        theta, bias = integers.threshold.view(channel), integers.bias.view(channel)
        v0 = stage.initial(integers.threshold, self.strict)
        v0 = v0.view(channel) if v0.ndim == 1 else v0
        if self.rule == "lossless":
            total = (current if timed else current * self.steps) + self.steps * bias
            return counts(total, theta, v0, self.steps, self.strict)
        settings = {"timed": over_time, "rule": self.rule, "strict": self.strict}
        return trains(current + bias, theta, v0, self.steps, **settings, through_time=self.through_time)


def sources_of(layer: Stage | Pool | Flat) -> list[str]:
    """The layers whose results ``layer`` takes."""
    if isinstance(layer, Stage):
        return [part.source for part in layer.parts] + [shortcut.sources[0] for shortcut in layer.shortcuts]
    return list(layer.sources)


def _shortcut(shortcut: Shortcut, x: Tensor, gain: Tensor, trains: bool) -> Tensor:
    axis = 2 if trains else 1
    if x.ndim > axis + 1:  # a map, not a vector
        x = x[..., :: shortcut.stride, :: shortcut.stride]
    after = [0, 0] * (x.ndim - axis - 1)
    x = F.pad(x.to(gain.dtype), (*after, shortcut.before, shortcut.after))
    return x * gain.view(-1, *[1] * (x.ndim - axis - 1))
