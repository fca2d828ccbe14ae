"""Training with integers in the loop: a graph of layers that computes, going forward, what the integer network will.

Weights, gains, thresholds and biases are floats that are rounded on the way; activations are spike counts or spike
trains, as the rule trains (``quant.qat.rules``), instead of reals. In evaluation the answer is that of
the integer network to the last bit; in training the gradient is that of the QCFS activation, straight through every
rounding and, for spike trains, through the order of the spikes (the activation's value is the spiking neuron's, its
gradient the quantised one's), or, where a graph is told so, that of the membrane over time (``quant.qat.firing``).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..conversion.rounding import LayerIntegers, readout_integers
from ..frontends.layers import IMAGE, Activation, Layer, Passing, UnsupportedLayer, Weights
from ..frontends.structure import terms_of
from ..frontends.torch_fx.graph import trace
from ..ir.bounds import NetworkError, one_of
from . import firing
from .firing import over_channels
from .rules import STEPS
from .stage import QuantisedLayer, shortcut_currents

__all__ = ["IntegerGraph", "Scales", "sources_of"]


class Scales(NamedTuple):
    """Of the image and of each layer, by name: what a value of 1 is worth (``units``), the largest value of a time
    step (``highs``), and whether it differs from time step to time step (``timed``)."""

    units: dict[str, Tensor]
    highs: dict[str, int]
    timed: dict[str, bool]


class IntegerGraph(nn.Module):
    """A model whose forward is the integer network.

    Parameters: ``model``, an nn.Module with QCFS activations, or the layers of a float graph, copied;
    ``input_high``, the largest pixel, which stands for 1.0; ``steps``, T; ``weight_bits``, 2..8, with ``first_bits``
    and ``last_bits`` for the first and last layer and ``shortcut_bits`` for projections, which must come in the unit
    of the layer they are added to; ``rule``, one of ``quant.qat.rules``; ``strict``, whether neurons fire at ``>``
    instead of ``>=``; ``shape``, (C, H, W) of the image, where a pool covers the whole map.
    Attribute ``through_time``: whether the gradient of causal spikes is that of the membrane (``quant.qat.firing``).
    Forward: pixels as integers 0..input_high (N, C, H, W) to logits (N, classes), scaled to those of the float model.
    Raises UnsupportedLayer for a ReLU left in, NetworkError for NaN or bit widths out of range, naming the layer.
    """

    takes_integers = True
    compiles = False  # its own passes over memory are faster than those of torch.compile

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
        rule: str = "lossless",
        strict: bool = False,
        shape: tuple[int, int, int] | None = None,
    ) -> None:
        super().__init__()
        if rule not in STEPS:
            raise NetworkError(f"rule must be {one_of(STEPS)}, not {rule!r}")
        if not 1 <= input_high <= 255 or not 1 <= steps <= 64:
            raise NetworkError(f"input_high must be in 1..255 and steps in 1..64, not {input_high} and {steps}")
        layers = trace(model, shape) if isinstance(model, nn.Module) else list(model)
        self.input_high, self.steps = input_high, steps
        self.rule, self.strict, self.through_time = rule, strict, False
        self.stages = nn.ModuleList()
        self.order: list[QuantisedLayer | Passing] = []
        kinds = {layer.name: layer for layer in layers}
        first = next((layer.name for layer in layers if isinstance(layer, Weights)), "")

        def bits(layer: Weights, main: bool) -> int:
            last = last_bits if layer is layers[-1] else None
            return last or (first_bits if layer.origin == first else None) or (weight_bits if main else shortcut_bits)

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
                neurons = layer if isinstance(layer, Activation) else None
                stage = QuantisedLayer(layer.name, wide, shortcuts, sums, neurons)
                self.stages.append(stage)
                self.order.append(stage)
            elif isinstance(layer, Passing):
                self.order.append(layer)
        scales = self.scales()
        for stage in (layer for layer in self.order if isinstance(layer, QuantisedLayer)):
            stage.pad_with_integers(scales.units, scales.highs, scales.timed)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels as integers (N, C, H, W) to logits (N, classes); see the class."""
        # Pixels and spike counts, and for rules that go step by step the trains (T, N, ...) that the counts are of.
        found, trains = {IMAGE: pixels.to(self.dtype(pixels))}, dict[str, Tensor]()
        if not self.training and pixels.ndim == 4:
            found[IMAGE] = found[IMAGE].contiguous(memory_format=torch.channels_last)  # half the time
        scales = self.scales()
        last_use = {source: layer for layer in self.order for source in sources_of(layer)}
        for layer in self.order:
            self.step(layer, found, trains, scales)
            for source in sources_of(layer):
                if last_use[source] is layer:
                    found.pop(source, None)
                    trains.pop(source, None)
        return found[self.order[-1].name]

    def step(
        self, layer: QuantisedLayer | Passing, found: dict[str, Tensor], trains: dict[str, Tensor], scales: Scales
    ) -> None:
        """Put the result of ``layer`` into ``found``: pixels, spike counts or logits (N, ...) by layer, and into
        ``trains`` the spikes (T, N, ...) that the counts are of, where the rule goes step by step."""
        match layer:
            case Passing():
                found[layer.name] = layer.integers([found[source] for source in layer.sources])
                if all(source in trains for source in layer.sources):
                    trains[layer.name] = layer.trains([trains[source] for source in layer.sources])
            case QuantisedLayer() if layer.log_threshold is not None:
                found[layer.name] = self._spiking(layer, found, trains, scales)
            case QuantisedLayer():
                weights, bias, value = self.readout(scales.units)
                none = torch.zeros_like(bias)
                integers = self._exact(layer, LayerIntegers(weights, [], none, bias), scales.highs)
                currents = list(self._currents(layer, integers, found))
                if any(scales.timed[source] for source, _ in currents):  # what does not change is there in every step
                    currents = [(s, x if scales.timed[s] else x * self.steps) for s, x in currents]
                x = functools.reduce(torch.add, (x for _, x in currents)) + integers.bias
                found[layer.name] = x * value if self.training else x.double() * value

    def scales(self) -> Scales:
        """What :meth:`step` needs to know of all layers."""
        return Scales(self.units(), self.highs(), self.timed())

    def dtype(self, x: Tensor) -> torch.dtype:
        """Of pixels and counts on the device of ``x``; those of a neuron are exact in both."""
        mixed = self.training and torch.is_autocast_enabled(x.device.type)
        return torch.bfloat16 if mixed else torch.float32

    def _spiking(
        self, stage: QuantisedLayer, found: Mapping[str, Tensor], trains: dict[str, Tensor], scales: Scales
    ) -> Tensor:
        """The spike counts of a stage; its trains go into ``trains``."""
        integers = self._exact(stage, stage.integers(scales.units, scales.highs, self.steps), scales.highs)
        theta, v0 = integers.threshold, stage.initial(integers.threshold, self.strict)
        dtype = self.dtype(theta)
        if self.through_time and torch.is_grad_enabled():
            drive = self._drive(stage, integers, found, trains)
            trains[stage.name] = firing.through_time(
                drive, theta, integers.bias, v0, self.steps, dtype, strict=self.strict
            )
            return trains[stage.name].sum(0)
        count = None
        if STEPS[self.rule] is not None:
            with torch.no_grad():
                drive = self._drive(stage, integers, found, trains)
                settings = {"rule": self.rule, "strict": self.strict}
                trains[stage.name], count = firing.trains(
                    drive, theta, integers.bias, v0.detach(), self.steps, dtype, **settings
                )
        if count is None or torch.is_grad_enabled():
            total = self._total(stage, integers, found, scales.timed)
            count = firing.counts(total, theta, self.steps, v0, strict=self.strict, known=count)
        return count.to(dtype)

    def _exact(self, stage: QuantisedLayer, integers: LayerIntegers, highs: Mapping[str, int]) -> LayerIntegers:
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
            if isinstance(layer, QuantisedLayer):
                if layer.log_threshold is not None:
                    units[layer.name] = layer.threshold
            else:
                units[layer.name] = layer.unit([units[source] for source in layer.sources])
        return units

    def highs(self) -> dict[str, int]:
        """The largest value of the image and of each layer of ``order``, in one time step."""
        highs = {IMAGE: self.input_high}
        for layer in self.order:
            if isinstance(layer, QuantisedLayer):
                highs[layer.name] = 1
            else:
                highs[layer.name] = layer.high([highs[source] for source in layer.sources])
        return highs

    def timed(self) -> dict[str, bool]:
        """Whether the image and each layer of ``order`` differ from time step to time step."""
        timed = {IMAGE: False}
        for layer in self.order:
            timed[layer.name] = isinstance(layer, QuantisedLayer) or any(timed[source] for source in layer.sources)
        return timed

    def readout(self, units: Mapping[str, Tensor]) -> tuple[list[Tensor], Tensor, Tensor]:
        """Integers (weights, bias) of the last layer and what a logit of 1 is worth."""
        last = self.order[-1]
        assert isinstance(last, QuantisedLayer)
        parts, timed = last.parts, self.timed()
        terms = self.steps if any(timed[part.source] for part in parts) else 1
        weights, worths = [part.weight for part in parts], [units[part.source] for part in parts]
        return readout_integers(weights, last.bias, worths, [part.bits for part in parts], terms)

    def _currents(
        self, stage: QuantisedLayer, integers: LayerIntegers, found: Mapping[str, Tensor]
    ) -> Iterator[tuple[str, Tensor]]:
        """Source and currents (N, ...) of the weights and shortcuts of a stage for pixels or counts, without bias."""
        for part, weight in zip(stage.parts, integers.weights, strict=True):
            yield part.source, part.current(_like(weight, found[part.source]), weight)
        for shortcut, gain in zip(stage.shortcuts, integers.gains, strict=True):
            yield shortcut.sources[0], shortcut_currents(shortcut, found[shortcut.sources[0]], gain)

    def _total(
        self, stage: QuantisedLayer, integers: LayerIntegers, found: Mapping[str, Tensor], timed: Mapping[str, bool]
    ) -> Tensor:
        """The currents of a stage in all steps together, with bias."""
        currents = [
            current if timed[source] else current * self.steps
            for source, current in self._currents(stage, integers, found)
        ]
        return functools.reduce(torch.add, currents) + over_channels(self.steps * integers.bias, currents[0])

    def _drive(
        self, stage: QuantisedLayer, integers: LayerIntegers, found: Mapping[str, Tensor], trains: Mapping[str, Tensor]
    ) -> firing.Drive:
        """The currents of a stage in every step, without bias."""
        steady, timed, skips = list[Tensor](), list[Tensor](), list[tuple[Tensor, Tensor]]()
        for part, weight in zip(stage.parts, integers.weights, strict=True):
            if part.source in trains:
                x = trains[part.source]
                timed.append(part.current(_like(weight, x.flatten(0, 1)), weight).unflatten(0, x.shape[:2]))
            else:
                steady.append(part.current(_like(weight, found[part.source]), weight))
        for shortcut, gain in zip(stage.shortcuts, integers.gains, strict=True):
            source = shortcut.sources[0]
            if source in trains:
                x = trains[source]
                skips.append((shortcut.aligned(x.flatten(0, 1)).unflatten(0, x.shape[:2]), gain))
            else:
                steady.append(shortcut_currents(shortcut, found[source], gain))
        return firing.Drive(functools.reduce(torch.add, steady) if steady else None, timed, skips)


def sources_of(layer: QuantisedLayer | Passing) -> list[str]:
    """The layers whose results ``layer`` takes."""
    if isinstance(layer, QuantisedLayer):
        return [part.source for part in layer.parts] + [shortcut.sources[0] for shortcut in layer.shortcuts]
    return list(layer.sources)


def _like(weight: Tensor, x: Tensor) -> Tensor:
    """``x`` as wide as ``weight``; under autocast, which makes both narrow, as it is."""
    return x if x.dtype == torch.bfloat16 else x.to(weight.dtype)
